// A folder for one test file, with a small data set in it.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from '@jest/globals';

/** A new folder, removed after the tests of the file. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dlcourse-cli-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
