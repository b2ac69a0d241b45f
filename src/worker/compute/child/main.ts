/** Entry of the compute process; only the worker starts it. */
import { runStep } from '../../../pipeline/index.js';
import { holdable } from './hold.js';
import { serveSteps } from './serve.js';

serveSteps(holdable(runStep));
