"""redis-py and hiredis."""
import asyncio
import os
import subprocess
import threading
import time

import hiredis
import redis
import redis.asyncio
from redis.backoff import ExponentialBackoff
from redis.cache import CacheConfig
from redis.retry import Retry

import servers
from servers import scratch


def connect(server, **options):
    return redis.Redis(port=server.port, decode_responses=True, **options)


def redis_py_types_and_pipelines(server):
    for protocol in (2, 3):
        with connect(server, protocol=protocol) as client:
            client.flushall()
            with client.pipeline(transaction=False) as pipe:
                for number in range(500):
                    pipe.set(f"k{number}", number)
                assert all(pipe.execute())
            assert client.mget("k1", "k499", "none") == ["1", "499", None]
            assert sorted(client.scan_iter("k1*")) == sorted(f"k{n}" for n in range(500) if str(n).startswith("1"))
            client.hset("h", mapping={"a": 1, "b": 2})
            assert client.hgetall("h") == {"a": "1", "b": "2"}
            client.zadd("z", {"a": 1.5, "b": 2})
            assert client.zrange("z", 0, -1, withscores=True) in ([("a", 1.5), ("b", 2.0)], [["a", 1.5], ["b", 2.0]])
            assert client.register_script("return {KEYS[1], ARGV[1]}")(keys=["x"], args=["y"]) == ["x", "y"]
            assert client.info("server")["redis_version"].startswith("7.4")
            assert client.config_get("appendfsync") == {"appendfsync": "always"}
            assert client.object("encoding", "h") == "listpack"
            assert client.ttl("h") == -1 and client.expire("h", 100) and 0 < client.ttl("h") <= 100
            assert "get" in client.command()
            try:
                client.incr("h")
                raise AssertionError("INCR of a hash worked")
            except redis.ResponseError as error:
                assert "WRONGTYPE" in str(error)


def redis_py_streams(server):
    with connect(server) as client:
        client.xgroup_create("s", "g", mkstream=True)
        ids = [client.xadd("s", {"n": n}) for n in range(20)]
        first = client.xreadgroup("g", "a", {"s": ">"}, count=10)[0][1]
        assert [entry[0] for entry in first] == ids[:10]
        assert client.xack("s", "g", *ids[:5]) == 5
        assert client.xpending("s", "g")["pending"] == 5
        _, claimed, _ = client.xautoclaim("s", "g", "b", 0)
        assert [entry[0] for entry in claimed] == ids[5:10]
        assert client.xinfo_stream("s")["length"] == 20


def redis_py_transactions_with_watch(server):
    with connect(server) as client, connect(server) as other:
        client.set("n", 1)
        with client.pipeline() as pipe:
            pipe.watch("n")
            other.incr("n")
            pipe.multi()
            pipe.set("n", 100)
            try:
                pipe.execute()
                raise AssertionError("a broken WATCH was not noticed")
            except redis.WatchError:
                pass

        def bump():
            with connect(server) as mine:
                for _ in range(20):
                    mine.transaction(lambda pipe: (lambda n: (pipe.multi(), pipe.set("n", n + 1)))(int(pipe.get("n"))),
                                     "n")
        threads = [threading.Thread(target=bump) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.get("n") == "82"


def redis_py_pubsub(server):
    for protocol in (2, 3):
        with connect(server, protocol=protocol) as client:
            listener = client.pubsub()
            listener.subscribe("a")
            listener.psubscribe("b*")
            got = []
            deadline = time.monotonic() + 60
            while len(got) < 4 and time.monotonic() < deadline:
                if len(got) == 2:
                    assert client.publish("a", "1") == 1 and client.publish("bb", "2") == 1
                message = listener.get_message(timeout=1)
                if message:
                    got.append((message["type"], message["channel"], message["data"]))
                    if len(got) == 3:
                        continue
            assert got[0][:2] == ("subscribe", "a") and got[1][:2] == ("psubscribe", "b*"), got
            assert ("message", "a", "1") in got, got
            listener.close()


def redis_py_locks(server):
    with connect(server) as client:
        total = []

        def work():
            with connect(server) as mine:
                for _ in range(10):
                    with mine.lock("l", timeout=60, blocking_timeout=60, sleep=0.002):
                        value = int(mine.get("count") or 0)
                        mine.set("count", value + 1)
                total.append(1)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(total) == 4 and client.get("count") == "40"
        lock = client.lock("l", timeout=20)
        assert lock.acquire(blocking=False) and not client.lock("l").acquire(blocking=False)
        assert lock.extend(5) and lock.reacquire()
        lock.release()


def redis_py_client_side_cache(server):
    with connect(server, protocol=3, cache_config=CacheConfig()) as client, connect(server) as other:
        client.set("c", "1")
        assert client.get("c") == "1" and client.get("c") == "1"
        before = other.info("commandstats")["cmdstat_get"]["calls"]
        for _ in range(10):
            assert client.get("c") == "1"
        assert other.info("commandstats")["cmdstat_get"]["calls"] == before, "the cache is not used"
        other.set("c", "2")
        deadline = time.monotonic() + 60
        while client.get("c") != "2":
            assert time.monotonic() < deadline, "an invalidation never came"
            time.sleep(0.01)


def redis_py_asyncio(server):
    async def run():
        client = redis.asyncio.Redis(port=server.port, decode_responses=True, protocol=3, max_connections=500)
        await asyncio.gather(*(client.set(f"a{n}", n) for n in range(200)))
        assert await client.dbsize() == 200
        async with client.pipeline(transaction=True) as pipe:
            assert await pipe.incr("a1").incr("a2").execute() == [2, 3]
        async with client.pubsub() as listener:
            await listener.subscribe("ch")
            assert (await listener.get_message(timeout=60))["type"] == "subscribe"
            await client.publish("ch", "x")
            assert (await listener.get_message(timeout=60))["data"] == "x"
        pop = asyncio.create_task(client.blpop(["q"], timeout=60))
        await asyncio.sleep(0.05)
        await client.rpush("q", "job")
        assert list(await pop) == ["q", "job"]
        async with client.lock("l", timeout=60):
            assert await client.exists("l") == 1
        await client.aclose()
    asyncio.run(run())


def redis_py_pool_survives_a_restart(server):
    pool = redis.BlockingConnectionPool(port=server.port, max_connections=4, decode_responses=True,
                                        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 20),
                                        retry_on_error=[redis.ConnectionError, redis.BusyLoadingError])
    client = redis.Redis(connection_pool=pool)
    assert client.set("k", "before")
    restart(server)
    assert client.get("k") == "before" and client.set("k", "after")


def restart(server):
    """kill -9, and a start at the same port."""
    port = server.port
    server.kill()
    chosen, servers.free_port = servers.free_port, lambda: port
    try:
        server.start()
    finally:
        servers.free_port = chosen


def hiredis_reader(server):
    import socket
    with socket.create_connection(server.address) as link:
        link.sendall(b"HELLO 3\r\nSADD s a b\r\nSMEMBERS s\r\nHSET h f v\r\nHGETALL h\r\nZADD z 1.5 a\r\n"
                     b"ZSCORE z a\r\nGET none\r\nDEBUG PROTOCOL TRUE\r\nNOSUCH\r\nQUIT\r\n")
        reader, replies = hiredis.Reader(encoding="utf-8", errors=None), []
        while len(replies) < 11:
            bytes = link.recv(65536)
            assert bytes, replies
            reader.feed(bytes)
            while (reply := reader.gets()) is not False or reader.has_data():
                replies.append(reply)
                if not reader.has_data():
                    break
        assert replies[0]["proto"] == 3 and replies[2] in ({"a", "b"}, ["a", "b"], ["b", "a"]), replies
        assert replies[4] == {"f": "v"} and replies[6] == 1.5 and replies[7] is None and replies[8] is True, replies
        assert isinstance(replies[9], hiredis.ReplyError), replies


PROGRAM = r"""
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define NEED(what) if (!(what)) { printf("failed: %s (line %d)\n", #what, __LINE__); return 1; }
int main(int argc, char **argv) {
    redisContext *link = redisConnect("127.0.0.1", atoi(argv[1]));
    NEED(link && !link->err);
    redisReply *reply = redisCommand(link, "SET %s %b", "key", "a\0b", (size_t)3);
    NEED(reply && reply->type == REDIS_REPLY_STATUS && !strcmp(reply->str, "OK"));
    reply = redisCommand(link, "GET key");
    NEED(reply && reply->type == REDIS_REPLY_STRING && reply->len == 3 && !memcmp(reply->str, "a\0b", 3));
    for (int i = 0; i < 10000; i++) NEED(redisAppendCommand(link, "INCR n") == REDIS_OK);
    for (int i = 0; i < 10000; i++) {
        NEED(redisGetReply(link, (void **)&reply) == REDIS_OK && reply->integer == i + 1);
        freeReplyObject(reply);
    }
    reply = redisCommand(link, "LRANGE none 0 -1");
    NEED(reply->type == REDIS_REPLY_ARRAY && reply->elements == 0);
    reply = redisCommand(link, "INCR key");
    NEED(reply->type == REDIS_REPLY_ERROR);
    redisFree(link);
    puts("ok");
    return argc == 2 ? 0 : 1;
}
"""


def hiredis_in_c(server):
    folder = scratch()
    source, program = os.path.join(folder, "c.c"), os.path.join(folder, "c")
    with open(source, "w") as file:
        file.write(PROGRAM)
    subprocess.run(["gcc", "-O1", "-o", program, source, "-lhiredis"], check=True)
    done = subprocess.run([program, str(server.port)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


CHECKS = [redis_py_types_and_pipelines, redis_py_streams, redis_py_transactions_with_watch, redis_py_pubsub,
          redis_py_locks, redis_py_client_side_cache, redis_py_asyncio, redis_py_pool_survives_a_restart,
          hiredis_reader, hiredis_in_c]
