"""Seeded faults in what a host makes durable, each caught by crashes that are enumerated."""

from tests.mutants.faults import Fault

CRASHES = "tests/crashes/test_crashes.py"
ANYWHERE = (
    f"{CRASHES}::test_c01_after_a_crash_at_any_boundary_each_commit_is_whole_or_absent[small]"
)
KILLED = f"{CRASHES}::test_c01_a_process_that_is_killed_and_then_the_power_lose_nothing"
BACKUP = f"{CRASHES}::test_c01_a_backup_after_a_crash_in_the_midst_of_one_is_whole"
LOG = "tests/avm/test_sqlite_faults.py::test_a_log_that_is_unreadable_before_its_last_commit_is_damage"

TORN = "tests/avm/test_log.py::test_c01_a_commit_of_which_a_sector_is_lost_is_no_damage"

FAULTS = [
    Fault(
        "the directory of a new directory is not synchronised",
        "avm/store/files.py",
        "    with suppress(PermissionError):\n        files.sync_directory(path.parent)\n",
        "",
        ANYWHERE,
    ),
    Fault(
        "the directory of a renamed file is not synchronised",
        "avm/store/files.py",
        "        raise\n    files.sync_directory(path.parent)\n",
        "        raise\n",
        ANYWHERE,
    ),
    Fault(
        "a file is renamed before it is synchronised",
        "avm/store/files.py",
        "        files.sync(fresh)\n        files.replace(fresh, path)\n",
        "        files.replace(fresh, path)\n",
        ANYWHERE,
    ),
    Fault(
        "keys that a killed process left are not synchronised",
        "avm/run/directory.py",
        "            self.files.sync_directory(self.keys)\n",
        "            pass\n",
        KILLED,
    ),
    Fault(
        "a commit is split in two",
        "avm/store/sqlite.py",
        "        if group.journal:\n",
        '        cursor.execute("COMMIT")\n'
        '        cursor.execute("BEGIN IMMEDIATE")\n'
        "        if group.journal:\n",
        ANYWHERE,
    ),
    Fault(
        "marks are saved apart from states",
        "avm/store/sqlite.py",
        "            cursor.executemany(self._put[table], rows)\n",
        '            if table == "channel":\n'
        '                cursor.execute("COMMIT")\n'
        '                cursor.execute("BEGIN IMMEDIATE")\n'
        "            cursor.executemany(self._put[table], rows)\n",
        ANYWHERE,
    ),
    Fault(
        "commits are not synchronised",
        "avm/store/file.py",
        '        ("synchronous", "FULL"),\n',
        '        ("synchronous", "NORMAL"),\n',
        ANYWHERE,
    ),
    Fault(
        "a checkpoint is not synchronised",
        "avm/store/sqlite.py",
        "                write.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)\n",
        '                write.pragma("synchronous", "OFF")\n'
        "                write.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)\n"
        '                write.pragma("synchronous", "FULL")\n',
        f"{CRASHES}::test_c01_after_a_crash_at_any_boundary_each_commit_is_whole_or_absent[checkpoints]",
    ),
    Fault(
        "a backup's name is not synchronised",
        "avm/run/backup.py",
        "            files.sync_directory(path.parent)\n",
        "            pass\n",
        ANYWHERE,
    ),
    Fault(
        "what an earlier backup left is taken for the log of the next",
        "avm/store/file.py",
        '        files.remove(Path(f"{path}{beside}"))\n',
        "        pass\n",
        BACKUP,
    ),
    Fault(
        "the keys of a backup are erased before they are kept",
        "avm/run/backup.py",
        "            directory.write_keys(body)\n            store.erase(KEYS)\n",
        "            store.erase(KEYS)\n            directory.write_keys(body)\n",
        ANYWHERE,
    ),
    Fault(
        "a log that lost commits is taken for one that a crash cut",
        "avm/store/log.py",
        "COMMITS_CUT_MAX: Final = 1\n",
        "COMMITS_CUT_MAX: Final = 1_000_000\n",
        LOG,
    ),
    Fault(
        "the mark of an earlier log before the salts of this one is taken for a commit",
        "avm/store/log.py",
        "            commits += is_one_write(at) or fits(",
        "            commits += True or fits(",
        TORN,
    ),
]
