// All layouts. The only list: recognition, import and export read it.

import type { Layout } from './layout.js';
import { resnetLayouts } from './resnet.js';

export const layouts: readonly Layout[] = [...resnetLayouts];
