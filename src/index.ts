// The public API.

export { type Dataset, type ImageShape, type Split } from './data/dataset.js';
export { listDatasets, openDataset, type OpenOptions } from './data/open.js';
export { type Preprocessing } from './data/preprocessing.js';
export { DlcourseError, type ErrorClass, exitStatus } from './errors.js';
export * from './layers/index.js';
export { type Augmentation, parseAugmentation } from './train/augmentation.js';
export { type Arrays, compile, type CompileSettings, type FitOptions, Learner, load } from './train/learner.js';
export { type EpochRecord, type LoopEvent } from './train/loop.js';
export { type ClassMetrics, type Evaluation, type Prediction, topPredictions } from './train/metrics.js';
export { optimizers, type OptimizerName } from './train/optimizer.js';
export { makeRecipe, type Recipe } from './train/recipe.js';
export { type RunEvent, type RunReport, type RunSettings, trainRun } from './train/run.js';
export { type ScheduleName, type ScheduleOptions, scheduleNames } from './train/schedule.js';
export { buildNetwork, findNetwork, type Form, networkNames } from './zoo/zoo.js';
