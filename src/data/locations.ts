// Where downloads and caches lie: one folder per user, never the package or the user's data.

import os from 'node:os';
import path from 'node:path';
import { packageRoot } from '../package.js';

/**
 * The cache folder: `DLCOURSE_CACHE` if set, else `dlcourse` in the system's cache folder for this user
 * (`$XDG_CACHE_HOME` or `~/.cache`; `~/Library/Caches` on macOS; `%LOCALAPPDATA%\dlcourse\Cache` on Windows).
 * Holds `datasets/<name>` (what `data get` fetched), `downloads` (unfinished ones), `packed` (decoded images), `index`
 * (digests of files seen) and `compiled` (code, see cli/index.ts). Everything in it can be deleted at any time.
 */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env['DLCOURSE_CACHE']) return path.resolve(env['DLCOURSE_CACHE']);
  const home = os.homedir();
  if (process.platform === 'darwin') return path.join(home, 'Library', 'Caches', 'dlcourse');
  if (process.platform === 'win32') {
    return path.join(env['LOCALAPPDATA'] || path.join(home, 'AppData', 'Local'), 'dlcourse', 'Cache');
  }
  // The XDG specification says to ignore a relative path.
  const xdg = env['XDG_CACHE_HOME'];
  return path.join(xdg && path.isAbsolute(xdg) ? xdg : path.join(home, '.cache'), 'dlcourse');
}

/** Where `data get` leaves a data set and `openDataset` looks for it. */
export function downloadedFolder(name: string): string {
  return path.join(cacheFolder(), 'datasets', name);
}

/** The package's own `datasets/` folder: manifests, and the data sets that it carries. */
export const shippedFolder = path.join(packageRoot, 'datasets');
