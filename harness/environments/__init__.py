"""Environments of their own for plugins whose requirements cannot stand beside those of others.

    <cache>/environments/<distribution>/<key>/     a virtual environment, with lock.txt, build.log and environment.json

The key is a hash of the lock, the interpreter and what was asked for, so one lock is built once. `environment.json` is written last: a
folder without it was never finished, and is none. It describes the plugin (its models as `harness.describe` found them there), so that
listing and planning start no process. What an environment holds of the harness is the worker's part alone (`harness.environments.core`).
"""

from harness.environments.record import Environment, all_environments, environments_folder, latest

__all__ = ["Environment", "all_environments", "environments_folder", "latest"]
