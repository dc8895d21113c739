// A folder of its own for each test file, and a cache in it: tests leave nothing behind and share nothing.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from '@jest/globals';
import { DlcourseError } from '../../src/errors.js';

/** A temporary folder, removed after the tests of the file; the data cache lies in it. */
export function makeScratch(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'dlcourse-test-'));
  const before = process.env['DLCOURSE_CACHE'];
  process.env['DLCOURSE_CACHE'] = path.join(folder, 'cache');
  afterAll(() => {
    if (before === undefined) delete process.env['DLCOURSE_CACHE'];
    else process.env['DLCOURSE_CACHE'] = before;
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Writes a file and the folders above it. */
export function put(file: string, content: string | Uint8Array): string {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

/** The DlcourseError that a promise is rejected with. */
export async function failure(promise: Promise<unknown>): Promise<DlcourseError> {
  const error = await promise.then(
    value => new Error(`expected a rejection, got ${JSON.stringify(value)?.slice(0, 200)}`),
    reason => reason,
  );
  if (error instanceof DlcourseError) return error;
  throw error;
}
