// All layouts. The only list: recognition, import and export read it. Where two fit a file alike, the first is taken.

import { alexnetLayouts } from './alexnet.js';
import { densenetLayouts } from './densenet.js';
import { dpnLayouts } from './dpn.js';
import { inceptionLayouts } from './inception.js';
import type { Layout } from './layout.js';
import { lenetLayouts } from './lenet.js';
import { mobilenetLayouts } from './mobilenet.js';
import { nasnetLayouts } from './nasnet.js';
import { preactResnetLayouts } from './preact_resnet.js';
import { resnetLayouts } from './resnet.js';
import { senetLayouts } from './senet.js';
import { shufflenetLayouts } from './shufflenet.js';
import { squeezenetLayouts } from './squeezenet.js';
import { vggLayouts } from './vgg.js';
import { xceptionLayouts } from './xception.js';

export const layouts: readonly Layout[] = [
  ...lenetLayouts,
  ...alexnetLayouts,
  ...vggLayouts,
  ...inceptionLayouts,
  ...xceptionLayouts,
  ...resnetLayouts,
  ...squeezenetLayouts,
  ...densenetLayouts,
  ...preactResnetLayouts,
  ...senetLayouts,
  ...dpnLayouts,
  ...nasnetLayouts,
  ...mobilenetLayouts,
  ...shufflenetLayouts,
];
