"""Applications that live on Redis, doing a day's work: queues, rate limiters, locks."""
import os
import subprocess
import sys
import threading
import time

import redis

from clients import slow
from clients.libraries import restart
from servers import scratch, wait_for

WORK = '''
import os, redis, time
link = redis.Redis(port=int(os.environ["WORK_PORT"]))
def work(number):
    link.sadd("done", number)
    link.incr("runs")
    return number * 2
def fail(number):
    raise ValueError(number)
'''

CELERY = '''
import os
from celery import Celery
url = "redis://127.0.0.1:" + os.environ["WORK_PORT"] + "/0"
app = Celery("work_celery", broker=url, backend=url)
@app.task
def add(a, b):
    return a + b
@app.task
def total(numbers):
    return sum(numbers)
@app.task(bind=True, max_retries=3)
def stubborn(self, n):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return n
'''

HUEY = '''
import os
from huey import RedisHuey
huey = RedisHuey("day", host="127.0.0.1", port=int(os.environ["WORK_PORT"]))
@huey.task()
def add(a, b):
    return a + b
@huey.task(retries=2)
def stubborn(key):
    if huey.storage.conn.incr(key) < 3:
        raise ValueError("not yet")
    return "done"
'''


class Site:
    """A folder with the application's modules, and its processes."""

    def __init__(self, server):
        self.folder, self.processes = scratch(), []
        for name, text in (("work.py", WORK), ("work_celery.py", CELERY), ("work_huey.py", HUEY)):
            with open(os.path.join(self.folder, name), "w") as file:
                file.write(text)
        self.environment = dict(os.environ, WORK_PORT=str(server.port), PYTHONPATH=self.folder)
        os.environ["WORK_PORT"] = str(server.port)
        sys.path.insert(0, self.folder)
        for name in ("work", "work_celery", "work_huey"):
            sys.modules.pop(name, None)

    def run(self, program, *words):
        log = open(os.path.join(self.folder, "log"), "ab")
        path = os.path.join(os.path.dirname(sys.executable), program)
        self.processes.append(subprocess.Popen([path, *words], cwd=self.folder, env=self.environment, stdout=log,
                                               stderr=log))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()
        sys.path.remove(self.folder)


def rq_works_through_a_kill(server):
    from rq import Queue
    with Site(server) as site:
        link = redis.Redis(port=server.port)
        queue = Queue("day", connection=link)
        sys.modules.pop("work", None)
        jobs = [queue.enqueue("work.work", number, result_ttl=600) for number in range(60)]
        bad = queue.enqueue("work.fail", 1)
        url = f"redis://127.0.0.1:{server.port}"
        site.run("rq", "worker", "--url", url, "--worker-class", "rq.worker.SimpleWorker", "day")
        wait_for(lambda: link.scard("done") >= 10, 30, "the first jobs")
        done = link.smembers("done")
        restart(server)
        assert done <= link.smembers("done"), "work that was done is forgotten"
        for process in site.processes:
            process.kill()
            process.wait()
        # The job whose worker died stays started; all others must run.
        site.run("rq", "worker", "--url", url, "--worker-class", "rq.worker.SimpleWorker", "day")
        wait_for(lambda: link.scard("done") >= 59 and queue.count == 0, 40, "the other jobs")
        wait_for(lambda: bad.get_status(refresh=True).value == "failed", 20, "the failed job")
        finished = [job for job in jobs if job.get_status(refresh=True).value == "finished"]
        assert len(finished) >= 59 and all(job.return_value() == job.args[0] * 2 for job in finished), len(finished)


def celery_groups_and_chords(server):
    with Site(server) as site:
        import work_celery as module
        from celery import chord, group
        site.run("celery", "-A", "work_celery", "worker", "--pool", "solo", "--loglevel", "WARNING",
                 "--without-gossip", "--without-mingle")
        assert module.add.delay(2, 3).get(timeout=120) == 5
        assert group(module.add.s(n, n) for n in range(20)).apply_async().get(timeout=120) == [n * 2 for n in range(20)]
        assert chord((module.add.s(n, 1) for n in range(10)), module.total.s()).apply_async().get(timeout=120) == 55
        assert module.stubborn.delay(7).get(timeout=120) == 7


def huey_tasks(server):
    with Site(server) as site:
        import work_huey as module
        site.run("huey_consumer", "work_huey.huey", "-w", "2", "-d", "0.05")
        results = [module.add(n, 1) for n in range(30)]
        assert [result.get(blocking=True, timeout=120) for result in results] == list(range(1, 31))
        later = module.add.schedule((1, 1), delay=1)
        assert later.get(blocking=True, timeout=120) == 2
        module.stubborn("tries")
        wait_for(lambda: module.huey.storage.conn.get("tries") == b"3", 20, "the third try")


def limits_counts(server):
    from limits import parse
    from limits.storage import storage_from_string
    from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter
    storage = storage_from_string(f"redis://127.0.0.1:{server.port}")
    assert storage.check()
    for strategy in (FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter):
        limiter, rule = strategy(storage), parse("10/hour")
        passed = []

        def knock():
            for _ in range(10):
                if limiter.hit(rule, strategy.__name__, "user"):
                    passed.append(1)
        threads = [threading.Thread(target=knock) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(passed) == 10, (strategy, len(passed))
        assert limiter.get_window_stats(rule, strategy.__name__, "user").remaining == 0


def pottery_structures(server):
    from pottery import NextID, RedisCounter, RedisDeque, RedisDict, RedisList, RedisSet, Redlock
    link = redis.Redis(port=server.port)
    words = RedisDict({"a": 1}, redis=link, key="d")
    words["b"] = [1, 2]
    assert dict(words) == {"a": 1, "b": [1, 2]}
    assert set(RedisSet({1, 2, 3}, redis=link, key="s")) == {1, 2, 3}
    items = RedisList([1, 2, 3], redis=link, key="l")
    items[1] = "x"
    assert list(items) == [1, "x", 3]
    queue = RedisDeque([1], redis=link, key="q")
    queue.appendleft(0)
    assert list(queue) == [0, 1]
    assert RedisCounter("aab", redis=link, key="c").most_common(1) == [("a", 2)]
    numbers = NextID(key="ids", masters={link})
    assert [next(numbers) for _ in range(3)] == [1, 2, 3]
    lock = Redlock(key="lock", masters={link}, auto_release_time=5)
    assert lock.acquire() and not Redlock(key="lock", masters={link}).acquire(blocking=False)
    lock.release()


def python_redis_lock_waits(server):
    import redis_lock
    link, order = redis.Redis(port=server.port), []

    def work(number):
        with redis_lock.Lock(redis.Redis(port=server.port), "l", expire=10, auto_renewal=True):
            order.append(number)
            time.sleep(0.01)
            order.append(number)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(order) == 16 and all(order[n] == order[n + 1] for n in range(0, 16, 2)), order
    assert link.exists("lock:l") == 0


@slow
def queues_for_a_longer_day(server):
    """The queues once more, with ten times the work."""
    from rq import Queue
    with Site(server) as site:
        link = redis.Redis(port=server.port)
        queue = Queue("day", connection=link)
        for number in range(2000):
            queue.enqueue("work.work", number, result_ttl=60)
        for _ in range(2):
            site.run("rq", "worker", "--url", f"redis://127.0.0.1:{server.port}", "--worker-class",
                     "rq.worker.SimpleWorker", "--burst", "day")
        wait_for(lambda: link.scard("done") == 2000, 240, "2000 jobs")
        assert int(link.get("runs")) == 2000


CHECKS = [rq_works_through_a_kill, celery_groups_and_chords, huey_tasks, limits_counts, pottery_structures,
          python_redis_lock_waits, queues_for_a_longer_day]
