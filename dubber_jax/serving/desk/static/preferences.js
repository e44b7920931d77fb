// Language and theme: chosen by a button, remembered by the browser.

import { el, keep, kept } from './dom.js'
import { switchLanguage, t } from './strings.js'

const THEMES = ['auto', 'dark', 'light']
const SIGNS = { auto: '◐', dark: '●', light: '○' }

function useTheme(theme) {
  if (theme === 'auto') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
}

useTheme(kept('theme', 'auto'))

export function preferences() {
  const theme = () => (THEMES.includes(kept('theme', 'auto')) ? kept('theme', 'auto') : 'auto')
  const shade = el('button', { type: 'button', class: 'bare', onclick: () => {
    keep('theme', THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length])
    useTheme(theme())
    drawTheme()
    dispatchEvent(new Event('look-changed'))
  } })
  function drawTheme() {
    shade.textContent = SIGNS[theme()]
    shade.title = t('theme', t(`theme_${theme()}`))
    shade.setAttribute('aria-label', shade.title)
  }
  drawTheme()
  return el('span', { class: 'preferences' },
    el('button', { type: 'button', class: 'bare', id: 'language', title: t('switch_language'), onclick: () => { switchLanguage(); dispatchEvent(new Event('language-changed')) } }, t('language')), shade)
}
