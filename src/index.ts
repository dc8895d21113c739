// The public API.

export type { Dataset, ImageShape, Split } from './data/dataset.js';
export { listDatasets, type OpenOptions, openDataset } from './data/open.js';
export type { Preprocessing } from './data/preprocessing.js';
export { DlcourseError, type ErrorClass, exitStatus } from './errors.js';
export * from './layers/index.js';
export type { Cut } from './models/pictures.js';
export { type Augmentation, parseAugmentation } from './train/augmentation.js';
export type { Answer, ClassifierOptions } from './train/classify.js';
export { type FineTuneOptions, fineTune } from './train/fine-tune.js';
export { type Arrays, type CompileSettings, compile, type FitOptions, Learner, load } from './train/learner.js';
export type { EpochRecord, LoopEvent } from './train/loop.js';
export { type ClassMetrics, type Evaluation, type Prediction, topPredictions } from './train/metrics.js';
export { type OptimizerName, optimizers } from './train/optimizer.js';
export { makeRecipe, type Recipe } from './train/recipe.js';
export { type PublishedRecipe, publishedRecipe, publishedRecipes } from './train/recipes.js';
export { type RunEvent, type RunReport, type RunSettings, trainRun } from './train/run.js';
export { type ScheduleName, type ScheduleOptions, scheduleNames } from './train/schedule.js';
export { buildNetwork, type Form, findNetwork, networkNames } from './zoo/zoo.js';
