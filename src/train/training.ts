// The state machine of a training: one step, one evaluation, where it stands. It knows no files.

import { DlcourseError } from '../errors.js';
import type { Graph } from '../graph/graph.js';
import type { StateSpec } from '../layers/layer.js';
import type { Model } from '../layers/model.js';
import { headTensors, withFrozenNorms } from '../layers/rewrite.js';
import { defineState } from '../models/weights.js';
import type { BuiltPlan } from '../plan/build.js';
import { batchThatFits, bufferBytes, largestBatch, ownBytes, requireMemory } from '../runtime/memory.js';
import { Arena, defaultThreads, Program, planFor, type Store, tensorBytes } from '../runtime/program.js';
import { emaName, evaluate, evaluationGraph } from './evaluation.js';
import { frozenTensors } from './freeze.js';
import type { Feeds, Source } from './inputs.js';
import type { Evaluation } from './metrics.js';
import { epochOrder } from './order.js';
import type { Recipe } from './recipe.js';
import { scheduleFactor } from './schedule.js';
import { firstNotFinite, parameterGroups, type StepOptions, slowName, trainingGraph } from './step.js';
import { whitenedTensor } from './whiten.js';

/** Where a training stands: everything that is not a tensor. */
export interface Position {
  /** Steps done. */
  readonly step: number;
  /** Epochs done; the present one is `epoch` (0-based). */
  readonly epoch: number;
  /** Steps done in the present epoch. */
  readonly stepInEpoch: number;
  /** Sums over the steps of the present epoch. */
  readonly lossSum: number;
  readonly hits: number;
  readonly samples: number;
}

export const start: Position = { step: 0, epoch: 0, stepInEpoch: 0, lossSum: 0, hits: 0, samples: 0 };

/** What one step says of itself. */
export interface StepReport {
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  /** Share of right answers among the step's samples; NaN where targets are not classes. */
  readonly accuracy: number;
  readonly gradientNorm: number;
  readonly lr: number;
  readonly samples: number;
}

export interface TrainingSetup {
  readonly model: Model;
  readonly store: Store;
  readonly recipe: Recipe;
  readonly train: Source;
  readonly test?: Source;
  readonly classes?: readonly string[];
  /** Names of tensors that may be trained; the others keep their values, as those that the recipe freezes do. */
  readonly trainable?: (name: string) => boolean;
  readonly outputWeights?: Readonly<Record<string, number>>;
  readonly isa?: string;
}

/** From one meeting of slow and trained weights to the next (Zhang et al. 2019, section 4). */
const LOOKAHEAD_STEPS = 5;

const SEGMENTS_AFTER = ['reduce', 'check', 'commit'];

/** A stretch of epochs in which the same tensors are trained, by one plan. */
interface PlannedPhase {
  readonly begins: number;
  readonly options: StepOptions;
  readonly plan: BuiltPlan;
  /** What a checkpoint holds, and what else is in the store. */
  readonly state: readonly StateSpec[];
  readonly accumulators: readonly StateSpec[];
}

interface Phase extends PlannedPhase {
  readonly program: Program;
}

export class Training {
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
  /** Bytes that steps and evaluations need: state, intermediate values, scratch, weights made ready, feeds. */
  readonly memoryBytes: number;
  readonly #setup: TrainingSetup;
  readonly #microBatch: number;
  readonly #arena = new Arena();
  readonly #frozen: ReadonlySet<string>;
  #position: Position = start;
  #waited = 0;
  #phase: Phase;
  readonly #evaluators = new Map<string, Program>();
  #order: { epoch: number; samples: Int32Array } | undefined;
  #prepared: { key: string; feeds: Promise<Feeds> } | undefined;

  constructor(setup: TrainingSetup) {
    const { model, store, recipe, train } = setup;
    this.#setup = setup;
    if (train.length === 0) {
      throw new DlcourseError({
        code: 'E_NO_SAMPLES',
        class: 'data',
        where: 'training data',
        problem: 'expected at least one sample, got none',
      });
    }
    const batch = Math.min(recipe.batchSize, train.length);
    this.#microBatch = Math.ceil(batch / recipe.accumulate);
    this.stepsPerEpoch = Math.ceil(train.length / batch);
    this.totalSteps = this.stepsPerEpoch * recipe.epochs;
    this.#frozen = frozenTensors(model, recipe.freeze);
    const { first, bytes } = this.#plans(this.#microBatch);
    this.memoryBytes = bytes;
    requireMemory(`training ${model.name} on batches of ${batch}`, bytes, () => this.#whatFits());
    defineState(store, model.state, recipe.seed);
    this.#phase = this.#enter(first);
    if (recipe.ema > 0) this.#copyTo(emaName);
    if (recipe.lookahead > 0) this.#copyTo(slowName);
  }

  /** Where the training stands. To set it is to go on from there: the phase is then that of its epoch. */
  get position(): Position {
    return this.#position;
  }

  set position(position: Position) {
    this.#position = position;
    const begins = this.#phaseOf(position.epoch);
    if (begins === this.#phase.begins) return;
    this.#phase.program.dispose();
    this.#phase = this.#enter(this.#plan(begins, this.#microBatch));
  }

  /** Every tensor that a checkpoint at this position holds: the model's and the optimizer's. */
  get state(): readonly StateSpec[] {
    return this.#phase.state;
  }

  /** First epoch of the phase in which `epoch` lies. */
  #phaseOf(epoch: number): number {
    const { unfreezeAfter } = this.#setup.recipe;
    return unfreezeAfter > 0 && epoch >= unfreezeAfter ? unfreezeAfter : 0;
  }

  /** The first phase for micro-batches of so many rows, and the bytes that the whole training needs then. */
  #plans(rows: number): { first: PlannedPhase; bytes: number } {
    const { model, recipe, test, isa } = this.#setup;
    const first = this.#plan(0, rows);
    const phases = recipe.unfreezeAfter > 0 ? [first, this.#plan(recipe.unfreezeAfter, rows)] : [first];
    const evaluations = test
      ? [
          planFor(
            evaluationGraph(model, graph => test.input(graph)),
            { batch: rows, exact: recipe.exact, ...(isa ? { isa } : {}) },
          ),
        ]
      : [];
    const threads = recipe.threads ?? defaultThreads();
    // One arena for all; of the phases one at a time.
    const most = (of: (plan: BuiltPlan) => number, plans: readonly BuiltPlan[]): number =>
      Math.max(0, ...plans.map(of));
    const own = (plan: BuiltPlan): number => ownBytes(plan, threads);
    const plans = phases.map(phase => phase.plan);
    const state = new Map(
      phases.flatMap(p => [...p.state, ...p.accumulators]).map(s => [s.name, tensorBytes(s.shape)]),
    );
    const bytes =
      most(plan => bufferBytes(plan.arenaBytes), [...plans, ...evaluations]) +
      most(own, plans) +
      most(own, evaluations) +
      [...state.values()].reduce((a, b) => a + b, 0);
    return { first, bytes };
  }

  /** What to do about a training that is too large. */
  #whatFits(): string {
    const { recipe } = this.#setup;
    const fits = largestBatch(this.#microBatch, rows => this.#plans(rows).bytes);
    const others = [
      ...(recipe.checkpointActivations ? [] : ['--checkpoint-activations']),
      'more micro-batches (--accumulate)',
      'smaller pictures',
    ];
    return `${batchThatFits(fits * recipe.accumulate)}; less memory is needed with ${others.join(', ').replace(/, (?=[^,]*$)/, ' or ')}`;
  }

  /** Plans the phase that begins with an epoch, for micro-batches of so many rows. */
  #plan(begins: number, rows: number): PlannedPhase {
    const { model, recipe, train, outputWeights, isa, trainable: may = () => true } = this.#setup;
    const late = begins > 0 ? this.#frozen : new Set<string>();
    const frozen = begins > 0 ? new Set<string>() : this.#frozen;
    const whitening = recipe.whiten ? whitenedTensor(model).name : undefined;
    const trainable = (name: string): boolean => may(name) && !frozen.has(name) && name !== whitening;
    const heads = recipe.backboneLr === undefined ? undefined : headTensors(model);
    const options: StepOptions = {
      model: withFrozenNorms(model, trainable),
      input: graph => train.input(graph),
      loss: recipe.loss,
      labelSmoothing: recipe.labelSmoothing,
      optimizer: recipe.optimizer,
      optimizerOptions: recipe,
      groups: parameterGroups(model, {
        exemptNorms: recipe.exemptNorms,
        biases: recipe.biasLr !== 1,
        trainable,
        late: name => late.has(name),
        ...(heads ? { backbone: (name: string) => !heads.has(name) } : {}),
      }),
      ema: recipe.ema > 0,
      lookahead: recipe.lookahead > 0,
      accumulate: recipe.accumulate,
      ...(outputWeights ? { outputWeights } : {}),
    };
    const { graph, state, forward } = trainingGraph(options);
    const isAccumulator = ({ name }: StateSpec): boolean => name.startsWith('accumulator/');
    return {
      begins,
      options,
      plan: planFor(graph, {
        batch: rows,
        exact: recipe.exact,
        ...(isa ? { isa } : {}),
        ...(recipe.checkpointActivations ? { recomputes: forward } : {}),
      }),
      state: [...model.state, ...state.filter(s => !isAccumulator(s))],
      accumulators: state.filter(isAccumulator),
    };
  }

  /** Compiles a phase. What the optimizer keeps of newly trained tensors is zero. */
  #enter(planned: PlannedPhase): Phase {
    const { store, recipe } = this.#setup;
    defineState(store, [...planned.state, ...planned.accumulators], recipe.seed);
    return { ...planned, program: this.#compile(planned.plan, this.#microBatch) };
  }

  #compile(given: Graph | BuiltPlan, batch: number): Program {
    const { store, recipe, isa } = this.#setup;
    return new Program(given, {
      batch,
      store,
      arena: this.#arena,
      ...(recipe.threads ? { threads: recipe.threads } : {}),
      ...(isa ? { isa } : {}),
      exact: recipe.exact,
    });
  }

  /** Seconds that the steps of this process have waited for their samples. */
  get waited(): number {
    return this.#waited;
  }

  /** What a step computes now. */
  get plan(): BuiltPlan {
    return this.#phase.plan;
  }

  /** Averages begin as the tensors that they follow. */
  #copyTo(nameOf: (name: string) => string): void {
    const { model, store } = this.#setup;
    for (const spec of model.state) store.write(nameOf(spec.name), store.read(spec.name));
  }

  get done(): boolean {
    return this.position.step >= this.totalSteps;
  }

  /** Samples of a step, in order; the last step of an epoch may be smaller. */
  #samples(epoch: number, stepInEpoch: number): Int32Array {
    const { recipe, train } = this.#setup;
    if (this.#order?.epoch !== epoch) this.#order = { epoch, samples: epochOrder(train.length, recipe.seed, epoch) };
    const batch = Math.min(recipe.batchSize, train.length);
    return this.#order.samples.subarray(stepInEpoch * batch, (stepInEpoch + 1) * batch);
  }

  #feeds(epoch: number, stepInEpoch: number, micro: number): Promise<Feeds> {
    const key = `${epoch}/${stepInEpoch}/${micro}`;
    if (this.#prepared?.key === key) return this.#prepared.feeds;
    const samples = this.#samples(epoch, stepInEpoch);
    const part = samples.slice(micro * this.#microBatch, (micro + 1) * this.#microBatch);
    const feeds = this.#setup.train.feeds(part, { seed: this.#setup.recipe.seed, epoch });
    feeds.catch(() => {}); // reported by whoever awaits it
    this.#prepared = { key, feeds };
    return feeds;
  }

  /** All feeds of one micro-batch of the present step, which has `samples` samples. */
  async #microBatchFeeds(micro: number, samples: number): Promise<{ feeds: Feeds; rows: number }> {
    const { epoch, stepInEpoch } = this.position;
    const begin = micro * this.#microBatch;
    const rows = Math.min(this.#microBatch, samples - begin);
    const micros = this.#micros(samples);
    const feeds = {
      ...(await this.#feeds(epoch, stepInEpoch, micro)),
      ...this.#scalars(begin),
      // The mean over micro-batches is the mean over samples also where the last one is smaller.
      loss_weight: Float32Array.of((rows * micros) / samples),
      micro: Int32Array.of(micro),
      keep_statistics: Float32Array.of(micro === 0 ? 0 : 1),
      micros: Int32Array.of(micros),
    };
    return { feeds, rows };
  }

  /** Micro-batches that a step of `samples` samples has; the last step of an epoch may have fewer. */
  #micros(samples: number): number {
    return Math.ceil(samples / this.#microBatch);
  }

  #scalars(samplesBefore: number): Feeds {
    const { recipe } = this.#setup;
    const { step } = this.position;
    const f32 = (value: number): Float32Array => Float32Array.of(value);
    const groups = this.#phase.options.groups.flatMap(({ name, backbone, decays, bias, late }) => [
      [`lr.${name}`, f32(this.learningRate(step, backbone) * (bias ? recipe.biasLr : 1))],
      [`decay.${name}`, f32(decays ? recipe.weightDecay / (bias ? recipe.biasLr : 1) : 0)],
      [`step.${name}`, f32(step + 1 - (late ? this.#phase.begins * this.stepsPerEpoch : 0))],
    ]);
    return {
      ...Object.fromEntries(groups),
      momentum: f32(recipe.momentum),
      beta1: f32(recipe.beta1),
      beta2: f32(recipe.beta2),
      alpha: f32(recipe.alpha),
      epsilon: f32(recipe.epsilon),
      clip: f32(recipe.clip),
      // Averages of the first steps follow closely (as in TensorFlow's ExponentialMovingAverage).
      ema_decay: f32(Math.min(recipe.ema, (1 + step) / (10 + step))),
      ...this.#lookahead(step + 1),
      progress: f32(step / this.totalSteps),
      random: Int32Array.of(recipe.seed | 0, Math.floor(recipe.seed / 2 ** 32) | 0, step, samplesBefore),
    };
  }

  /** What stays of the slow and of the trained weights after so many steps: between two meetings, all. */
  #lookahead(done: number): Feeds {
    const meet = done % LOOKAHEAD_STEPS === 0 || done === this.totalSteps;
    const slow = this.#setup.recipe.lookahead * (done / this.totalSteps) ** 3;
    return { slow_keep: Float32Array.of(meet ? slow : 1), fast_keep: Float32Array.of(meet ? 0 : 1) };
  }

  /** Rate of the heads in a step, or of the backbone: the schedule scales both. */
  learningRate(step: number, backbone = false): number {
    const { recipe } = this.#setup;
    const base = backbone ? (recipe.backboneLr ?? recipe.lr) : recipe.lr;
    return base * scheduleFactor(recipe.schedule, step, this.totalSteps, this.stepsPerEpoch);
  }

  /**
   * One optimizer step. While it runs, the next batch is read.
   * Throws E_DIVERGED, with the layer where it began, when something is not finite; nothing has changed then.
   */
  async step(): Promise<StepReport> {
    const { epoch, stepInEpoch, step } = this.position;
    const samples = this.#samples(epoch, stepInEpoch).length;
    const micros = this.#micros(samples);
    let lossSum = 0;
    let hits = 0;
    let norm = 0;
    for (let micro = 0; micro < micros; micro++) {
      const asked = performance.now();
      const { feeds, rows } = await this.#microBatchFeeds(micro, samples);
      this.#waited += (performance.now() - asked) / 1000;
      const last = micro === micros - 1;
      const running = this.#phase.program.run(feeds, rows, {
        segments: ['gradients', ...(last ? SEGMENTS_AFTER : [])],
      });
      if (!last) this.#feeds(epoch, stepInEpoch, micro + 1);
      else if (stepInEpoch + 1 < this.stepsPerEpoch) this.#feeds(epoch, stepInEpoch + 1, 0);
      else if (epoch + 1 < this.#setup.recipe.epochs) this.#feeds(epoch + 1, 0, 0);
      const { complete, results } = await running;
      lossSum += results['loss']![0]! * rows;
      for (const hit of results['hit'] ?? []) hits += hit;
      norm = results['norm']![0]!;
      if (last && !complete) throw await this.#diverged(samples, lossSum / samples);
    }
    const p = this.position;
    this.position = {
      ...p,
      step: step + 1,
      stepInEpoch: stepInEpoch + 1,
      lossSum: p.lossSum + lossSum,
      hits: p.hits + hits,
      samples: p.samples + samples,
    };
    return {
      step: step + 1,
      epoch,
      loss: lossSum / samples,
      accuracy: this.#setup.train.labels ? hits / samples : Number.NaN,
      gradientNorm: norm,
      lr: this.learningRate(step),
      samples,
    };
  }

  /** True when all steps of the present epoch are done. */
  get epochDone(): boolean {
    return this.position.stepInEpoch >= this.stepsPerEpoch;
  }

  /** Goes to the next epoch. */
  endEpoch(): void {
    this.position = { ...start, step: this.position.step, epoch: this.position.epoch + 1 };
  }

  /** Replays the step's micro-batches with a probe at every layer. */
  async #diverged(samples: number, loss: number): Promise<DlcourseError> {
    const where = await this.#firstNotFinite(samples).catch((error: unknown) => {
      // Probes keep every layer's result: where checkpoints or a lack of memory forbid that, no layer is named.
      if (error instanceof DlcourseError && error.code === 'E_MEMORY') return undefined;
      throw error;
    });
    return new DlcourseError({
      code: 'E_DIVERGED',
      class: 'diverged',
      where: where ?? 'training',
      problem: `expected finite numbers in step ${this.position.step + 1}, got NaN or infinity (loss ${loss})`,
      hint: 'nothing of this step was kept; lower the learning rate, warm up, or clip gradients (--clip 1)',
    });
  }

  async #firstNotFinite(samples: number): Promise<string | undefined> {
    const { graph } = trainingGraph({ ...this.#phase.options, probes: true });
    const program = this.#compile(graph, this.#microBatch);
    let where: string | undefined;
    for (let micro = 0; micro < this.#micros(samples) && where === undefined; micro++) {
      const { feeds, rows } = await this.#microBatchFeeds(micro, samples);
      where = firstNotFinite((await program.run(feeds, rows)).results);
    }
    program.dispose();
    return where;
  }

  /** Evaluates the test source (or another) with the trained tensors or their moving averages. */
  async evaluate(
    source = this.#setup.test,
    average = this.#setup.recipe.ema > 0,
    signal?: AbortSignal,
  ): Promise<Evaluation> {
    if (!source) throw new Error('there is no test data');
    const { model, classes = [] } = this.#setup;
    const key = `${average}`;
    let program = this.#evaluators.get(key);
    if (!program) {
      program = this.#compile(
        evaluationGraph(model, graph => source.input(graph), average),
        this.#microBatch,
      );
      this.#evaluators.set(key, program);
    }
    return evaluate(program, source, classes, signal);
  }

  /** Stops the present step before its next op. */
  cancel(): void {
    this.#phase.program.cancel();
  }
}
