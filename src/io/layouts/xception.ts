// Xception.

import { cifarPictures, imagenetPictures, type Layout, preparations, type Rule } from './layout.js';

/** Place in `rep` of convolution or norm n of a block: an activation before each convolution, but for the first block's. */
const rep: Rule = [
  /^blocks\.(\d+)\.sum\.(conv|bn)(\d)/,
  (_, unit, kind, n) => {
    const place = 3 * (Number(n) - 1) + (kind === 'conv' ? 1 : 2) - (unit === '0' ? 1 : 0);
    return `block${Number(unit) + 1}.rep.${place}`;
  },
];

const imagenet: Pick<Layout, 'networks' | 'form' | 'rules'> = {
  networks: ['xception'],
  form: 'imagenet',
  rules: [
    [/^conv([12])\.conv$/, 'conv$1'],
    [/^conv([12])\.bn$/, 'bn$1'],
    rep,
    [/^blocks\.(\d+)\.sum\.shortcut\.conv$/, (_, unit) => `block${Number(unit) + 1}.skip`],
    [/^blocks\.(\d+)\.sum\.shortcut\.bn$/, (_, unit) => `block${Number(unit) + 1}.skipbn`],
    [/\.depthwise$/, '.conv1'],
  ],
};

/** Names of weiaicunzai's branches: conv3_residual to conv5_residual, then the middle flow, then the exit. */
const flow = (unit: number): string =>
  unit < 3 ? `entry_flow.conv${unit + 3}_` : unit < 11 ? `middel_flow.middel_block.${unit - 3}.` : 'exit_flow.';

export const xceptionLayouts: readonly Layout[] = [
  {
    ...imagenet,
    layout: 'timm',
    preprocessing: imagenetPictures({ resize: 333, crop: 299, interpolation: 'cubic', ...preparations.tf }),
  },
  {
    ...imagenet,
    layout: 'cadene',
    rules: [...imagenet.rules, [/^fc$/, 'last_linear']],
    // The published file says fc, and is renamed after loading.
    aliases: [[/^fc\./, 'last_linear.']],
    preprocessing: imagenetPictures({ resize: 333, crop: 299, ...preparations.tf }),
  },
  {
    layout: 'weiaicunzai',
    networks: ['xception'],
    form: 'cifar',
    rules: [
      [/^conv([12])\.conv$/, 'entry_flow.conv$1.0'],
      [/^conv([12])\.bn$/, 'entry_flow.conv$1.1'],
      [/^conv3\b/, 'exit_flow.conv.0'],
      [/^bn3$/, 'exit_flow.conv.1'],
      [/^conv4\b/, 'exit_flow.conv.3'],
      [/^bn4$/, 'exit_flow.conv.4'],
      [/^blocks\.(\d+)\.sum\.shortcut\.conv$/, (_, unit) => `${flow(Number(unit))}shortcut.0`],
      [/^blocks\.(\d+)\.sum\.shortcut\.bn$/, (_, unit) => `${flow(Number(unit))}shortcut.1`],
      [
        /^blocks\.(\d+)\.sum\.(conv|bn)(\d)/,
        (_, unit, kind, n) => {
          const behind = kind === 'conv' ? 1 : 2;
          if (Number(unit) >= 3 && Number(unit) < 11) return `${flow(Number(unit))}conv${n}.${behind}`;
          return `${flow(Number(unit))}residual.${3 * (Number(n) - 1) + behind - (unit === '0' ? 1 : 0)}`;
        },
      ],
    ],
    preprocessing: cifarPictures.weiaicunzai,
  },
];
