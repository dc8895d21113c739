// Which tensors keep their values: the backbone, or those that patterns name.

import { DlcourseError, suggest } from '../errors.js';
import type { Model } from '../layers/model.js';
import { headTensors } from '../layers/rewrite.js';

/** Everything but the heads. */
export const BACKBONE = 'backbone';

/**
 * The tensors that `freeze` names: none for an empty text, `backbone` for all but the heads, else patterns with commas
 * between them. A pattern is the path of a tensor, or of a layer or block around it; `*` stands for any part of one.
 * Throws E_FREEZE where a pattern names no tensor, E_HEAD where the model has no head.
 */
export function frozenTensors(model: Model, freeze: string): ReadonlySet<string> {
  const names = model.state.map(s => s.name);
  if (freeze === '') return new Set();
  if (freeze === BACKBONE) {
    const heads = headTensors(model);
    return new Set(names.filter(name => !heads.has(name)));
  }
  const frozen = new Set<string>();
  for (const pattern of freeze.split(',').map(part => part.trim())) {
    const source = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*+/g, '.*');
    const fits = new RegExp(`^${source}(\\..*)?$`, 'su');
    const found = names.filter(name => fits.test(name));
    if (found.length === 0) {
      const blocks = [...new Set(names.map(name => name.split('.')[0]!))];
      throw new DlcourseError({
        code: 'E_FREEZE',
        class: 'usage',
        where: 'freeze',
        problem: `expected ${BACKBONE} or the path of tensors of ${model.name}, got '${pattern}', which names none`,
        hint: suggest(pattern, [BACKBONE, ...blocks]),
      });
    }
    for (const name of found) frozen.add(name);
  }
  return frozen;
}
