import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { EtcdStateRepository, type StateRepository } from '@pangalactic/state';
import { EtcdCluster, type EtcdLink, until } from '@pangalactic/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

const TTL_MS = 3_000;
/** What a hub fail-over may take on top of the TTL. */
const TAKE_OVER_MS = 5_000;
/** By its default settings, a leader notices within two election timeouts that it has lost its majority. */
const ETCD_ELECTION_MS = 2_000;
const WAIT = { timeout: 20_000, interval: 20 };
const MAYBE = ['state_unavailable', 'state_outcome_unknown'];
const UNANSWERED = { code: expect.stringMatching(MAYBE.join('|')) as string };

let cluster: EtcdCluster;
let prefix: string;
let stores = 0;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  cluster = await EtcdCluster.start();
});

afterAll(() => cluster?.stop());

beforeEach(() => {
  prefix = `/store-${++stores}/`;
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function open(endpoints: readonly string[] = cluster.endpoints, leaseTtlMs = TTL_MS): StateRepository {
  const repository = new EtcdStateRepository({ endpoints, prefix, leaseTtlMs });
  closers.push(() => repository.close());
  return repository;
}

async function openLinked(): Promise<{ repository: StateRepository; link: EtcdLink }> {
  const link = await cluster.link();
  closers.push(() => link.proxies.forEach((proxy) => proxy.restore()));
  return { repository: open(link.endpoints), link };
}

const put = (repository: StateRepository, key: string, value: string) =>
  repository.commit({ puts: [{ key, value }], guards: [] });

/** Writes 1, 2, 3, ... to a key, each until it is known to be there, as a hub does. */
function startCounting(repository: StateRepository) {
  let stopped = false;
  let count = 0;
  let longestPauseMs = 0;
  const failures = new Set<unknown>();
  const run = async () => {
    let doneAt = performance.now();
    while (!stopped) {
      try {
        await put(repository, 'count', String(count + 1));
        count += 1;
        longestPauseMs = Math.max(longestPauseMs, performance.now() - doneAt);
        doneAt = performance.now();
      } catch (error) {
        failures.add((error as { code?: unknown }).code);
      }
    }
  };
  const running = run();
  return {
    get count() {
      return count;
    },
    stop: async () => {
      stopped = true;
      await running;
      expect((await repository.get('count'))?.value).toBe(String(count));
      for (const code of failures) expect(MAYBE).toContain(code);
      return { longestPauseMs };
    },
    more: (by: number) => {
      const goal = count + by;
      return until(() => count >= goal, { timeoutMs: 20_000, message: () => `${goal} commits, there are ${count}` });
    },
  };
}

/** Every value of `count` as a watch delivers it. */
function watchCounts(repository: StateRepository, fromRevision: number) {
  const counts: number[] = [];
  const stopped = new AbortController();
  const read = async () => {
    for await (const { changes } of repository.watch('count', fromRevision, stopped.signal)) {
      counts.push(...changes.map(({ value }) => Number(value)));
    }
  };
  const ended = read();
  closers.push(() => stopped.abort());
  return { counts, ended };
}

/** A commit whose answer was lost is repeated, so a value may come twice in a row; none is left out or comes late. */
const withoutRepeats = <T>(values: readonly T[]) => values.filter((value, index) => value !== values[index - 1]);
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe('members that die', () => {
  it('one after the other: commits go on, and a watch has each of them once and in order', async () => {
    const repository = open();
    const { revision } = await repository.list('');
    const watch = watchCounts(open(), revision + 1);
    const counting = startCounting(repository);
    await counting.more(20);
    const first = await cluster.leader();
    const victims = [first, ...cluster.members.filter((member) => member !== first)];
    for (const member of victims) {
      await member.kill();
      await counting.more(20);
      member.start();
      await cluster.untilHealthy();
    }
    const { longestPauseMs } = await counting.stop();
    expect(longestPauseMs).toBeLessThan(8_000);
    await expect.poll(() => watch.counts.at(-1), WAIT).toBe(counting.count);
    expect(withoutRepeats(watch.counts)).toEqual(upTo(counting.count));
  });

  it('a frozen leader among them does not stop commits for long', async () => {
    const counting = startCounting(open());
    await counting.more(10);
    const leader = await cluster.leader();
    leader.freeze();
    try {
      await counting.more(20);
    } finally {
      leader.thaw();
    }
    await counting.more(10);
    const { longestPauseMs } = await counting.stop();
    expect(longestPauseMs).toBeLessThan(10_000);
    await cluster.untilHealthy();
  });

  it('without a majority calls fail soon and in the language of the port, and everything is back with it', async () => {
    const repository = open();
    await put(repository, 'a', '1');
    const { revision } = await repository.list('');
    const watch = watchCounts(repository, revision + 1);
    const [, ...others] = cluster.members;
    await Promise.all(others.map((member) => member.kill()));
    for (const call of [() => repository.get('a'), () => put(repository, 'a', '2'), () => repository.list('')]) {
      const startedAt = performance.now();
      const code = await call().then(
        () => 'done',
        (error: { code: string }) => error.code,
      );
      expect(MAYBE).toContain(code);
      expect(performance.now() - startedAt).toBeLessThan(10_000);
    }
    for (const member of others) member.start();
    await cluster.untilHealthy();
    await until(() => put(repository, 'count', '7'), { timeoutMs: 5_000, message: 'commits again' });
    await expect.poll(() => watch.counts.at(-1), WAIT).toBe(7);
  });
});

describe('members that cannot reach each other', () => {
  afterEach(async () => {
    cluster.reunite();
    await cluster.untilHealthy();
  });

  it('a hub at the leader that both others lost stops leading in time, and nothing of it overtakes the majority', async () => {
    const alone = await cluster.leader();
    const others = cluster.members.filter((member) => member !== alone).map(({ endpoint }) => endpoint);
    const minority = open([alone.endpoint]);
    const majority = open(others);
    const writeIn = ({ term }: { term: number }, value: string) => ({
      puts: [{ key: 'a', value }],
      guards: [{ term }],
    });
    const first = await minority.lead();
    expect(await minority.commit(writeIn(first, 'first'))).toMatchObject({ outcome: 'applied' });
    const { modRevision } = (await minority.get('a'))!;

    const next = majority.lead();
    const lostAt = once(first.lost, 'abort').then(() => performance.now());
    cluster.isolate(alone);
    const cutAt = performance.now();
    // Nothing of it can be known, and nothing old is passed off as new.
    await expect(minority.commit(writeIn(first, 'stale'))).rejects.toMatchObject({ code: 'state_outcome_unknown' });
    await expect(minority.get('a')).rejects.toMatchObject(UNANSWERED);

    const second = await next;
    const ledAt = performance.now();
    expect(await lostAt).toBeLessThan(ledAt);
    expect(ledAt - cutAt).toBeLessThan(ETCD_ELECTION_MS + TTL_MS + TAKE_OVER_MS);
    expect(second.term).toBeGreaterThan(first.term);
    expect(await majority.commit(writeIn(second, 'second'))).toMatchObject({ outcome: 'applied' });
    // etcd's old leader acknowledges keep-alives until it notices that it is alone.
    expect((await lostAt) - cutAt).toBeLessThan(ETCD_ELECTION_MS + TTL_MS + 200);
    expect(first.lost.reason).toMatchObject({ code: 'stale_term' });

    cluster.reunite();
    const entry = await until(() => minority.get('a'), { timeoutMs: 15_000, message: 'an answer' });
    expect(entry.value).toBe('second');
    const again = await until(() => minority.commit(writeIn(first, 'stale')), {
      timeoutMs: 15_000,
      message: 'an answer',
    });
    expect(again).toEqual({ outcome: 'conflict' });
    // What the leader had taken and nobody else had is gone.
    await put(majority, 'a', 'last');
    const values: (string | undefined)[] = [];
    for await (const { changes } of minority.watch('', modRevision)) {
      values.push(...changes.filter(({ key }) => key === 'a').map(({ value }) => value));
      if (values.at(-1) === 'last') break;
    }
    expect(values).toEqual(['first', 'second', 'last']);
  });

  it('a follower that both others lost takes nobody with it, and tells nothing old', async () => {
    const leader = await cluster.leader();
    const alone = cluster.members.find((member) => member !== leader)!;
    const repository = open();
    const { lost } = await open(cluster.endpoints, 10_000).lead();
    const behind = open([alone.endpoint]);
    await put(behind, 'count', '0');
    const { revision } = await behind.list('');
    const watch = watchCounts(behind, revision + 1);
    const counting = startCounting(repository);
    await counting.more(5);

    cluster.isolate(alone);
    await Promise.all([
      counting.more(20),
      expect(behind.get('count')).rejects.toMatchObject(UNANSWERED),
      expect(put(behind, 'b', '1')).rejects.toMatchObject(UNANSWERED),
    ]);
    expect(lost.aborted).toBe(false);

    cluster.reunite();
    await counting.more(5);
    const { longestPauseMs } = await counting.stop();
    expect(longestPauseMs).toBeLessThan(8_000);
    await until(() => put(behind, 'b', '2'), { timeoutMs: 15_000, message: 'a commit' });
    expect((await behind.get('count'))?.value).toBe(String(counting.count));
    await expect.poll(() => watch.counts.at(-1), WAIT).toBe(counting.count);
    expect(withoutRepeats(watch.counts)).toEqual(upTo(counting.count));
    expect(lost.aborted).toBe(false);
  });
});

describe('a commit whose answer is lost', () => {
  it('is unknown, and what is read after that is final', async () => {
    const link = await cluster.link();
    const [proxy] = link.proxies;
    closers.push(() => proxy!.restore());
    const repository = open(link.endpoints.slice(0, 1));
    await put(repository, 'a', 'before');
    const metaRevision = async () => {
      const output = await cluster.etcdctl('get', `${prefix}meta`, '--write-out=json');
      return (JSON.parse(output) as { kvs: { mod_revision: number }[] }).kvs[0]!.mod_revision;
    };
    const before = await metaRevision();
    proxy!.stall('backward');
    await expect(put(repository, 'a', 'after')).rejects.toMatchObject({ code: 'state_outcome_unknown' });
    // It has arrived.
    expect((await open().get('a'))?.value).toBe('after');
    proxy!.restore();
    const entry = await until(() => repository.get('a'), { timeoutMs: 10_000, message: 'an answer' });
    expect(entry.value).toBe('after');
    // What every write depends on has moved: nothing sent before can be applied any more.
    expect(await metaRevision()).toBeGreaterThan(before);
  });

  it('does not overtake a later one, when it arrives at last', async () => {
    const { repository, link } = await openLinked();
    // Enough for a connection to each member.
    for (let count = 0; count < 30; count++) await put(repository, 'a', `early ${count}`);
    const [proxy] = link.proxies;
    proxy!.stall();
    const attempts: string[] = [];
    const untilLost = async () => {
      for (;;) {
        attempts.push(`attempt ${attempts.length}`);
        await put(repository, 'a', attempts.at(-1)!);
      }
    };
    await expect(untilLost()).rejects.toMatchObject({ code: 'state_outcome_unknown' });
    // The lost one lies in front of its member; the others are asked what became of it.
    const found = await until(() => repository.get('a'), { timeoutMs: 15_000, message: 'an answer' });
    expect([attempts.at(-2) ?? 'early 29', attempts.at(-1)]).toContain(found.value);
    await until(() => put(repository, 'a', 'later'), { timeoutMs: 15_000, message: 'a commit' });
    proxy!.restore();
    // Through the same member, after what it had to catch up on.
    const behind = open([link.endpoints[0]!]);
    await until(() => put(behind, 'b', '1'), { timeoutMs: 15_000, message: 'a commit' });
    expect((await open().get('a'))?.value).toBe('later');
    const { revision } = await repository.list('');
    const values: (string | undefined)[] = [];
    for await (const changes of repository.watch('', found.modRevision)) {
      values.push(...changes.changes.filter(({ key }) => key === 'a').map(({ value }) => value));
      if (changes.revision >= revision) break;
    }
    expect(withoutRepeats(values)).toEqual([found.value, 'later']);
  });
});

describe('the lead', () => {
  it('goes to the next at once when it is resigned', async () => {
    const first = await open().lead();
    const startedAt = performance.now();
    const next = open().lead();
    await first.resign();
    expect((await next).term).toBe(first.term + 1);
    expect(performance.now() - startedAt).toBeLessThan(TTL_MS);
  });

  it('is lost in time by a hub that is cut off, and what it still wants is refused', async () => {
    const { repository, link } = await openLinked();
    const first = await repository.lead();
    let lostAt = Infinity;
    first.lost.addEventListener('abort', () => (lostAt = performance.now()));
    const next = open().lead();
    const cutAt = performance.now();
    for (const proxy of link.proxies) proxy.stall();
    const second = await next;
    const ledAt = performance.now();
    expect(lostAt).toBeLessThan(ledAt);
    expect(lostAt - cutAt).toBeLessThan(TTL_MS + 200);
    expect(ledAt - cutAt).toBeLessThan(TTL_MS + TAKE_OVER_MS);
    expect(second.term).toBeGreaterThan(first.term);
    expect(first.lost.reason).toMatchObject({ code: 'stale_term' });
    for (const proxy of link.proxies) proxy.restore();
    const command = { puts: [{ key: 'a', value: 'stale' }], guards: [{ term: first.term }] };
    const result = await until(() => repository.commit(command), { timeoutMs: 10_000, message: 'an answer' });
    expect(result).toEqual({ outcome: 'conflict' });
  });

  it('is kept while a member is frozen, even the one that leads in etcd', async () => {
    // The one of a real hub: etcd elects a new leader in it more than once.
    const ttlMs = 10_000;
    const { lost } = await open(cluster.endpoints, ttlMs).lead();
    const leader = await cluster.leader();
    leader.freeze();
    const frozenAt = performance.now();
    const passed = () => performance.now() - frozenAt > 1.2 * ttlMs;
    await until(() => passed() || lost.aborted, { timeoutMs: 2 * ttlMs, message: 'more than a TTL' });
    leader.thaw();
    expect(lost.aborted).toBe(false);
    await cluster.untilHealthy();
  });

  it('is lost when etcd lets the lease end', async () => {
    const { lost } = await open().lead();
    const leases = (await cluster.etcdctl('lease', 'list')).split('\n').filter((line) => /^[0-9a-f]{16}$/.test(line));
    for (const lease of leases) await cluster.etcdctl('lease', 'revoke', lease);
    await expect.poll(() => lost.aborted, { timeout: TTL_MS, interval: 20 }).toBe(true);
    expect(lost.reason).toMatchObject({ message: expect.stringContaining('etcd let it expire') as string });
  });

  it('waits for etcd however long it is away', async () => {
    const { repository, link } = await openLinked();
    for (const proxy of link.proxies) proxy.cut();
    const leading = repository.lead();
    await expect(repository.get('a')).rejects.toMatchObject({ code: 'state_unavailable' });
    for (const proxy of link.proxies) proxy.restore();
    expect((await leading).term).toBe(1);
  });
});

describe('a process of its own', () => {
  /** A hub reduced to its lead: leads, writes on command, says what becomes of it. */
  const PROGRAM = `
    const { EtcdStateRepository } = require(process.argv[1]);
    const options = JSON.parse(process.argv[2]);
    const repository = new EtcdStateRepository(options);
    const say = (line) => process.stdout.write(line + '\\n');
    void (async () => {
      const { term, lost } = await repository.lead();
      void (async () => { for await (const _ of repository.watch('', 1)); say('watch ended'); })();
      say('leads ' + term);
      const write = async (value) => {
        const commit = { puts: [{ key: 'a', value }], guards: [{ term }] };
        say((await repository.commit(commit)).outcome);
      };
      await write('first');
      if (options.thenClose) { await repository.close(); say('closed'); return; }
      lost.addEventListener('abort', async () => { say('lost'); await write('stale'); await repository.close(); });
    })();`;

  function start(thenClose: boolean): { process: ChildProcess; lines: () => string[] } {
    const library = join(repositoryRoot(), 'dist/libs/state/src/index.js');
    const options = { endpoints: cluster.endpoints, prefix, leaseTtlMs: TTL_MS, thenClose };
    const child = spawn(process.execPath, ['-e', PROGRAM, library, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    closers.push(() => child.kill('SIGKILL'));
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    return { process: child, lines: () => output.split('\n').slice(0, -1) };
  }

  it('that was frozen finds its lead lost when it wakes, and its commits refused', async () => {
    const hub = start(false);
    await expect.poll(hub.lines, WAIT).toEqual(['leads 1', 'applied']);
    hub.process.kill('SIGSTOP');
    const frozenAt = performance.now();
    const next = await open().lead();
    expect(performance.now() - frozenAt).toBeLessThan(TTL_MS + TAKE_OVER_MS);
    expect(next.term).toBe(2);
    hub.process.kill('SIGCONT');
    await expect.poll(hub.lines, WAIT).toEqual(['leads 1', 'applied', 'lost', 'conflict', 'watch ended']);
    expect((await open().get('a'))?.value).toBe('first');
  });

  it('ends by itself when the repository is closed', async () => {
    const hub = start(true);
    const [code] = (await once(hub.process, 'exit')) as [number];
    expect([code, ...hub.lines()]).toEqual([0, 'leads 1', 'applied', 'watch ended', 'closed']);
    // Resigned: nobody has to wait for the lease to expire.
    expect(await cluster.etcdctl('get', `${prefix}leader`)).toBe('');
  });
});

describe('a watch', () => {
  it('is told to list again when etcd has forgotten what it missed', async () => {
    const repository = open();
    const { revision } = await repository.list('');
    for (let count = 1; count <= 5; count++) await put(repository, 'count', String(count));
    const now = (await repository.list('')).revision;
    await cluster.etcdctl('compact', String(now));
    const late = repository.watch('', revision + 1)[Symbol.asyncIterator]();
    await expect(late.next()).rejects.toMatchObject({ code: 'state_compacted' });
    const watch = watchCounts(repository, now + 1);
    await put(repository, 'count', '6');
    await expect.poll(() => watch.counts, WAIT).toEqual([6]);
    expect((await repository.list('')).entries).toHaveLength(1);
  });

  it('leaves a member that is frozen', async () => {
    const { repository, link } = await openLinked();
    await put(repository, 'count', '1');
    const { revision } = await repository.list('');
    // Only the first member can be reached when the watch begins.
    const [, ...others] = link.proxies;
    for (const proxy of others) proxy.cut();
    const watch = watchCounts(repository, revision + 1);
    const writer = open();
    await put(writer, 'count', '2');
    await expect.poll(() => watch.counts, WAIT).toEqual([2]);
    for (const proxy of others) proxy.restore();
    const [member] = cluster.members;
    member!.freeze();
    try {
      await until(() => put(writer, 'count', '3'), { timeoutMs: 15_000, message: 'a commit by the others' });
      await expect.poll(() => watch.counts.at(-1), WAIT).toBe(3);
    } finally {
      member!.thaw();
    }
    await cluster.untilHealthy();
  });
});

describe('with users', () => {
  const admin = { name: 'root', password: 'a password' };
  const hub = { name: 'hub', password: 'another one' };
  let guarded: EtcdCluster;

  beforeAll(async () => {
    guarded = await EtcdCluster.start(1);
    await guarded.etcdctl('user', 'add', `${admin.name}:${admin.password}`);
    await guarded.etcdctl('role', 'add', 'hub');
    await guarded.etcdctl('role', 'grant-permission', 'hub', 'readwrite', '/hub/', '--prefix=true');
    await guarded.etcdctl('user', 'add', `${hub.name}:${hub.password}`);
    await guarded.etcdctl('user', 'grant-role', hub.name, 'hub');
    await guarded.etcdctl('auth', 'enable');
  });

  afterAll(() => guarded?.stop());

  const openAs = (user: typeof hub | undefined, at: string) => {
    const connection = { endpoints: guarded.endpoints, ...(user && { user }) };
    const repository = new EtcdStateRepository({ ...connection, prefix: at, leaseTtlMs: TTL_MS });
    closers.push(() => repository.close());
    return repository;
  };

  it.each([
    ['without a user', undefined, '/hub/', /user name (is empty|not found)/],
    ['with a wrong password', { ...hub, password: 'guess' }, '/hub/', /invalid user ID or password/],
    ['outside of what the user may use', hub, '/other/', /permission denied/],
  ])('refuses a hub %s', async (_, user, at, reason) => {
    const repository = openAs(user, at);
    for (const call of [
      () => repository.get('a'),
      () => put(repository, 'a', '1'),
      () => repository.watch('', 1)[Symbol.asyncIterator]().next(),
    ]) {
      await expect(call()).rejects.toMatchObject({
        code: 'state_unavailable',
        message: expect.stringMatching(reason) as string,
      });
    }
  });

  it('goes on when etcd was restarted and has forgotten its tokens: commits, watch and lead', async () => {
    const repository = openAs(hub, '/hub/');
    const { lost, term } = await repository.lead();
    const { revision } = await repository.list('');
    const watch = watchCounts(repository, revision + 1);
    await put(repository, 'count', '1');
    await expect.poll(() => watch.counts, WAIT).toEqual([1]);
    await guarded.members[0]!.kill();
    guarded.members[0]!.start();
    const commit = { puts: [{ key: 'count', value: '2' }], guards: [{ term }] };
    const result = await until(() => repository.commit(commit), { timeoutMs: 10_000, message: 'a commit' });
    expect(result.outcome).toBe('applied');
    await expect.poll(() => watch.counts.at(-1), WAIT).toBe(2);
    expect(lost.aborted).toBe(false);
  });
});
