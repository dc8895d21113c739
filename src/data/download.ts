// Fetches one file over HTTP: progress, resume, retries, and nothing kept that doesn't match its SHA-256.

import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DlcourseError } from '../errors.js';
import { writeError } from '../io/filesystem.js';

/** What a downloaded file must be. */
export interface ExpectedFile {
  bytes: number;
  /** Hexadecimal, lower case. */
  sha256: string;
}

export interface DownloadOptions {
  signal?: AbortSignal;
  /** Called with the bytes present so far, and all that are expected. */
  onProgress?: (done: number, total: number) => void;
  /** Attempts after the first that may follow a broken connection, a 5xx or a 429. Default 4. */
  retries?: number;
  /** Milliseconds before the first new attempt; doubled each time. Default 1000. */
  retryDelay?: number;
  /** Milliseconds without a byte after which a connection counts as broken. Default 30,000. */
  stall?: number;
}

/**
 * Downloads `url` to `file`, resuming `file + '.part'` if an earlier attempt left one. `file` appears only when
 * complete and checked, by a rename.
 *
 * @throws DlcourseError `E_DOWNLOAD` (no answer, an error status, another length) or `E_CHECKSUM`. An abort through
 *   `signal` rejects with the signal's reason and leaves the part for next time.
 */
export async function download(
  url: string,
  file: string,
  expected: ExpectedFile,
  options: DownloadOptions = {},
): Promise<void> {
  const { retries = 4, retryDelay = 1000, signal } = options;
  await mkdir(path.dirname(file), { recursive: true });
  const part = `${file}.part`;
  for (let attempt = 0; ; attempt++) {
    try {
      await fetchRest(url, part, expected, options);
      await rename(part, file);
      return;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof BrokenConnection)) throw error;
      if (attempt === retries) throw failure(url, `${error.message} (${attempt + 1} attempts)`, error.cause);
      await sleep(retryDelay * 2 ** attempt, undefined, { signal });
    }
  }
}

/** A failure that may pass: try again, from where it broke off. */
class BrokenConnection extends Error {}

async function fetchRest(url: string, part: string, expected: ExpectedFile, options: DownloadOptions): Promise<void> {
  const { signal, onProgress, stall = 30_000 } = options;
  const hash = createHash('sha256');
  let done = await hashExisting(part, hash, expected.bytes, signal);
  let digest: Hash = hash;
  onProgress?.(done, expected.bytes);
  if (done < expected.bytes) {
    const watch = new Watchdog(stall);
    try {
      const headers = { 'accept-encoding': 'identity', ...(done ? { range: `bytes=${done}-` } : {}) };
      const abort = signal ? AbortSignal.any([signal, watch.signal]) : watch.signal;
      const response = await fetch(url, { headers, signal: abort, redirect: 'follow' });
      if (response.status === 416 || (response.status === 206 && rangeStart(response.headers) !== done)) {
        await rm(part, { force: true });
        throw new BrokenConnection(`the server can't continue from byte ${done}`);
      }
      if (!continues(url, response, done, expected)) {
        done = 0;
        digest = createHash('sha256');
      }
      const handle = await open(part, done ? 'a' : 'w');
      try {
        for await (const chunk of response.body!) {
          watch.reset();
          done += chunk.length;
          if (done > expected.bytes) throw failure(url, `expected ${expected.bytes} bytes, got more`);
          await handle.writeFile(chunk);
          digest.update(chunk);
          onProgress?.(done, expected.bytes);
        }
        // A chunked answer that ends properly is whole: this is another file.
        if (done < expected.bytes && response.headers.has('transfer-encoding')) {
          await rm(part, { force: true });
          throw failure(url, `expected ${expected.bytes} bytes, got ${done} (${contentType(response)})`);
        }
        await handle.sync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw asBroken(url, part, error, watch);
    } finally {
      watch.stop();
    }
    if (done < expected.bytes) throw new BrokenConnection(`the connection ended at byte ${done} of ${expected.bytes}`);
  }
  const sha256 = digest.digest('hex');
  if (sha256 === expected.sha256) return;
  await rm(part, { force: true });
  throw new DlcourseError({
    code: 'E_CHECKSUM',
    class: 'integrity',
    where: url,
    problem: `expected SHA-256 ${expected.sha256}, got ${sha256}`,
    hint: 'the file was deleted; try again, or another source',
  });
}

/** Whether the answer continues at byte `from` (true) or starts over (false); anything else is an error. */
function continues(url: string, response: Response, from: number, expected: ExpectedFile): boolean {
  const { status, headers } = response;
  if (status === 429 || status >= 500) throw new BrokenConnection(`the server answered ${status}`);
  if (status !== 200 && status !== 206) throw failure(url, `expected the file, got status ${status}`);
  const encoding = headers.get('content-encoding');
  if (encoding && encoding !== 'identity') throw failure(url, `expected plain bytes, got content encoding ${encoding}`);
  const start = status === 206 ? from : 0;
  const length = headers.get('content-length');
  if (length !== null && Number(length) !== expected.bytes - start) {
    throw failure(url, `expected ${expected.bytes - start} bytes, got ${length} (${contentType(response)})`);
  }
  return status === 206;
}

function contentType(response: Response): string {
  return response.headers.get('content-type') ?? 'no type';
}

function rangeStart(headers: Headers): number | undefined {
  const range = /^bytes (\d+)-/.exec(headers.get('content-range') ?? '');
  return range ? Number(range[1]) : undefined;
}

/** Feeds what an earlier attempt left to the hash; a part that is too long is dropped. */
async function hashExisting(part: string, hash: Hash, limit: number, signal?: AbortSignal): Promise<number> {
  const size = await stat(part).then(
    s => s.size,
    () => 0,
  );
  if (size > limit) {
    await rm(part);
    return 0;
  }
  if (size > 0) for await (const chunk of createReadStream(part, { signal })) hash.update(chunk);
  return size;
}

/** Aborts after `milliseconds` without a `reset`. */
class Watchdog {
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;
  readonly signal = this.controller.signal;

  constructor(readonly milliseconds: number) {
    this.timer = setTimeout(() => this.controller.abort(), milliseconds);
  }

  reset(): void {
    this.timer.refresh();
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}

/** What waiting a few seconds doesn't mend: the next source is the better bet. */
const unreachable = new Set(['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH']);

function asBroken(url: string, part: string, error: unknown, watch: Watchdog): unknown {
  if (error instanceof BrokenConnection || error instanceof DlcourseError) return error;
  if (watch.signal.aborted) return new BrokenConnection(`no data for ${watch.milliseconds / 1000} s`);
  const code = (error as NodeJS.ErrnoException).code;
  // Errors of the local disk carry a system call's name; those of the network come wrapped by fetch.
  if (code && (error as NodeJS.ErrnoException).syscall) return writeError(part, 'store the download', error);
  const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
  if (cause?.code && unreachable.has(cause.code)) return failure(url, `no connection (${cause.code})`, error);
  return new BrokenConnection(cause?.code ?? cause?.message ?? (error as Error).message, { cause: error });
}

function failure(url: string, problem: string, cause?: unknown): DlcourseError {
  return new DlcourseError({
    code: 'E_DOWNLOAD',
    class: 'notFound',
    where: url,
    problem,
    hint: 'check the connection, or download the file by hand and pass it with --from',
    cause,
  });
}
