"""The rows about processes on Python's ProcessPoolExecutor.

Usage: python.py ROW WORKERS JOBS. Prints the sample, an object in JSON.
"""

import collections
import faulthandler
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

MIB = 1024 * 1024
IN_FLIGHT = 500
# From the moment when a job has told that it runs to its worker's end: all are asleep by then.
BEFORE_KILL = 0.001
# After which a row has failed: a hang is a failure that is told.
SECONDS_MAX = 60


def noop():
    pass


def echo(data):
    return data


def hang(address):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.sendto(struct.pack("=i", os.getpid()), address)
    while True:
        time.sleep(60)


def latencies(jobs, job):
    measured = []
    for _ in range(jobs):
        start = time.perf_counter_ns()
        job()
        measured.append(time.perf_counter_ns() - start)
    return {"p50_ns": percentile(measured, 0.5), "p99_ns": percentile(measured, 0.99)}


def percentile(values, share):
    values.sort()
    return values[round((len(values) - 1) * share)]


def run_noop(pool, jobs):
    return latencies(jobs, lambda: pool.submit(noop).result())


def run_noop_many(pool, jobs):
    start = time.perf_counter_ns()
    under_way = collections.deque()
    for _ in range(jobs):
        if len(under_way) == IN_FLIGHT:
            under_way.popleft().result()
        under_way.append(pool.submit(noop))
    for job in under_way:
        job.result()
    return {"ops_per_second": jobs / (time.perf_counter_ns() - start) * 1e9}


def run_1mib(pool, jobs):
    data = b"\x07" * MIB
    return latencies(jobs, lambda: pool.submit(echo, data).result())


def run_recover(pool, jobs):
    address = f"\0tenter-compare-{os.getpid()}"
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(address)
    killed = collections.deque()

    def kill():
        for _ in range(jobs):
            (pid,) = struct.unpack("=i", told.recv(4))
            time.sleep(BEFORE_KILL)
            killed.append(time.perf_counter_ns())
            os.kill(pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    errors, nexts = [], []
    for _ in range(jobs):
        try:
            pool.submit(hang, address).result()
        except BrokenProcessPool:
            error_seen = time.perf_counter_ns()
        # A pool that lost a worker is of no more use.
        pool.shutdown(wait=False)
        pool = ProcessPoolExecutor(1)
        pool.submit(noop).result()
        next_done = time.perf_counter_ns()
        since = killed.popleft()
        errors.append(error_seen - since)
        nexts.append(next_done - since)
    told.close()
    pool.shutdown()
    return {"error_ns": percentile(errors, 0.5), "next_ns": percentile(nexts, 0.5)}


ROWS = {
    "job_noop": run_noop,
    "job_noop_many": run_noop_many,
    "job_1mib": run_1mib,
    "job_recover": run_recover,
}


def main():
    faulthandler.dump_traceback_later(SECONDS_MAX, exit=True)
    row, workers, jobs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    run = ROWS[row]
    with ProcessPoolExecutor(1 if run is run_recover else workers) as pool:
        if run is not run_recover:
            run(pool, jobs // 4)
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter_ns()
        sample = run(pool, jobs)
        wall_ns = time.perf_counter_ns() - start
        after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sample["wall_ns"] = wall_ns / jobs
    sample["cpu_ns"] = cpu / jobs * 1e9
    sample["context_switches"] = (after.ru_nvcsw - before.ru_nvcsw) / jobs
    print(json.dumps(sample))


if __name__ == "__main__":
    main()
