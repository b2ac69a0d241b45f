/** Entry of the process that looks at submitted files: what is in them must not be able to harm the API. */
import { check } from '../../../pipeline/steps/inspect/check.js';
import { serveSteps } from './serve.js';

serveSteps(check);
