"""The studio: a web page on this machine from which the commands are used without typing any.

`page.build` makes the page, a tab a task. What a tab is asked for becomes the words of a command
(`gan-jax stylize ...`), which `jobs.Jobs` gives to a process of its own (`worker`): so the page
and the command line give the same pictures, Stop is the command's Ctrl-C, and a command that
fails or runs out of memory leaves the page alive.
"""
