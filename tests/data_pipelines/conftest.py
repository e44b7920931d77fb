import os
import sys

sys.path.insert(0, os.path.dirname(__file__))  # synthetic.py, also for the processes that tests start
