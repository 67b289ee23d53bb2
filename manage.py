#!/usr/bin/env python
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    from config.stack.adopt import adopt_running_stack

    if sys.argv[1:2] != ["up"]:
        adopt_running_stack()

    execute_from_command_line(sys.argv)
