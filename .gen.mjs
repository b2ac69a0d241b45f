// .gen.ts
import { writeFileSync } from "node:fs";
import pino from "pino";

// src/api/app.ts
import { randomUUID as randomUUID3 } from "node:crypto";
import { Readable as Readable2 } from "node:stream";
import helmet from "@fastify/helmet";
import { fastifySSE } from "@fastify/sse";
import Fastify from "fastify";

// src/errors/index.ts
var ORIGIN = {
  input: "input",
  outage: "infrastructure",
  own_fault: "infrastructure",
  failure: "infrastructure",
  bug: "bug"
};
var CODES = {
  invalid_request: [400, "The request is not valid"],
  invalid_spec: [422, "The job specification is not valid"],
  invalid_model: [422, "The model cannot be used"],
  invalid_dataset: [422, "The dataset cannot be used"],
  invalid_archive: [422, "The archive cannot be used"],
  limit_exceeded: [422, "A limit was exceeded"],
  payload_too_large: [413, "The body is too large"],
  unsupported_media_type: [415, "The media type is not supported"],
  range_not_satisfiable: [416, "The range is outside the content"],
  digest_mismatch: [400, "The content does not match its digest"],
  unreachable_target: [422, "The target cannot be reached"],
  unauthorized: [401, "A valid API key is needed"],
  forbidden: [403, "The API key lacks the scope for this call"],
  not_found: [404, "Not found"],
  gone: [410, "The content is not stored any more"],
  conflict: [409, "The resource is not in a state that allows this"],
  idempotency_in_flight: [409, "A request with this idempotency key is still running"],
  idempotency_mismatch: [422, "The idempotency key was used with another body"],
  too_many_requests: [429, "Too many requests"],
  canceled: [409, "The job was canceled"],
  deadline_exceeded: [408, "The job did not end before its deadline"],
  numerical_breakdown: [422, "A numerical breakdown"],
  compute_failed: [500, "The computation failed"],
  worker_lost: [500, "The worker was lost"],
  storage_unavailable: [503, "The storage is not available"],
  unavailable: [503, "The service is not available"],
  internal: [500, "Internal error"]
};
var statusOf = (code) => CODES[code][0];
var SparankError = class extends Error {
  code;
  faults;
  layer;
  retryAfterSeconds;
  missing;
  constructor(code, detail, extra = {}) {
    super(detail, extra.cause === void 0 ? void 0 : { cause: extra.cause });
    this.name = new.target.name;
    this.code = code;
    this.faults = extra.faults ?? [];
    this.layer = extra.layer;
    this.retryAfterSeconds = extra.retryAfterSeconds;
    this.missing = extra.missing;
  }
  get status() {
    return CODES[this.code][0];
  }
  get title() {
    return CODES[this.code][1];
  }
  /** What is to be done about it; decided by the JavaScript class, for ours by the code. */
  get class() {
    if (this.code === "internal") return "bug";
    return this.code === "storage_unavailable" || this.code === "unavailable" ? "outage" : "failure";
  }
  get origin() {
    return ORIGIN[this.class];
  }
  /** Whether trying the same again can help. */
  get retryable() {
    return this.class !== "input";
  }
};
var InputError = class extends SparankError {
  get class() {
    return "input";
  }
};
var InfrastructureError = class extends SparankError {
};
var OwnFaultError = class extends InfrastructureError {
  get class() {
    return "own_fault";
  }
};
var BugError = class extends SparankError {
  get class() {
    return "bug";
  }
};

// src/jobs/check-time.ts
var FETCH_SECONDS = 900;
var CHECK_WAIT_SECONDS = 300;
var CHECK_SECONDS = 120;
var ANSWER_SECONDS = FETCH_SECONDS + CHECK_WAIT_SECONDS + CHECK_SECONDS + 480;

// src/storage/scratch.ts
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { lstat, mkdir, readdir, rm, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
var HOUR_MS = 36e5;
var TOUCH_MS = HOUR_MS;
var FORSAKEN_MS = 24 * HOUR_MS;
function startTime(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "0";
  } catch {
    return "0";
  }
}
function isAlive(pid, started) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== "EPERM") return false;
  }
  return startTime(pid) === started;
}
var host = () => hostname().replace(/[^A-Za-z0-9-]/g, "-");
async function openScratch(dataDirectory) {
  const root = join(dataDirectory, "scratch");
  const stale = await removeStale(root);
  const name = `${host()}.${process.pid}.${startTime(process.pid)}.${randomBytes(4).toString("hex")}`;
  const path = join(root, name);
  await mkdir(path, { recursive: true, mode: 448 });
  const touching = setInterval(() => {
    const now2 = /* @__PURE__ */ new Date();
    utimes(path, now2, now2).catch(() => void 0);
  }, TOUCH_MS).unref();
  return {
    path,
    stale,
    remove() {
      clearInterval(touching);
      return rm(path, { recursive: true, force: true });
    }
  };
}
async function removeStale(root) {
  const names = await readdir(root).catch(() => []);
  const removed = [];
  for (const name of names) {
    const path = join(root, name);
    const [machine, pid, started] = name.split(".");
    if (!pid || !started) continue;
    const inUse = machine === host() ? isAlive(Number(pid), started) : !await isForsaken(path);
    if (inUse) continue;
    const gone = await rm(path, { recursive: true, force: true }).then(
      () => true,
      () => false
    );
    if (gone) removed.push(name);
  }
  return removed;
}
async function isForsaken(path) {
  const found = await lstat(path).catch(() => null);
  return found !== null && Date.now() - found.mtimeMs > FORSAKEN_MS;
}

// src/config/version.ts
import { readFileSync as readFileSync2 } from "node:fs";
var { version } = JSON.parse(readFileSync2(new URL("../../package.json", import.meta.url), "utf8"));
var VERSION = version;

// src/observability/telemetry.ts
var NOTHING = { traceparent: null, end: () => void 0 };
var NO_TELEMETRY = { start: () => NOTHING, close: () => Promise.resolve() };

// src/api/admin/audit.ts
import { Type as Type3 } from "typebox";

// src/database/audit/records.ts
var AUDIT_ACTIONS = [
  "team.created",
  "team.changed",
  "team.removed",
  "key.created",
  "key.revoked",
  "job.canceled",
  "worker.drained",
  "worker.undrained",
  "dashboard.login"
];

// src/database/records.ts
var SCOPES = ["jobs:read", "jobs:write", "team:admin", "admin"];
var DELIVERY_STATES = ["pending", "delivered", "failed", "disabled"];
var USAGE_GROUPS = ["day", "team", "job", "label"];

// src/api/schemas.ts
import { Type } from "typebox";
var Time = Type.String({ format: "date-time", description: "RFC 3339, UTC" });
var Nullable = (schema) => Type.Union([schema, Type.Null()]);
var Limit = Type.Integer({ minimum: 1, maximum: 100, default: 20 });
var PageOf = (item, name) => Type.Object(
  {
    data: Type.Array(item),
    has_more: Type.Boolean(),
    next: Nullable(Type.String({ description: "the value of `after` for the next page" }))
  },
  { $id: name }
);
var page = (records, hasMore, present3, cursor) => {
  const last = records.at(-1);
  return { data: records.map(present3), has_more: hasMore, next: hasMore && last !== void 0 ? cursor(last) : null };
};

// src/api/validation.ts
import { Compile } from "typebox/compile";
import Value2 from "typebox/value";

// src/jobs/schema-faults.ts
import Value from "typebox/value";
var isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
var escape = (key) => key.replaceAll("~", "~0").replaceAll("/", "~1");
var quoted = (names) => names.map((name) => `"${name}"`).join(", ");
var fits = (schema, value) => Value.Check(schema, value);
function schemaFaults(schema, value, pointer = "") {
  if (fits(schema, value)) return [];
  const node = schema;
  if (node.anyOf !== void 0) return unionFaults(node.anyOf, value, pointer);
  if (node.type === "object" && isObject(value)) return objectFaults(schema, node, value, pointer);
  if (node.type === "array" && Array.isArray(value) && node.items !== void 0) {
    const { items } = node;
    const inside = value.flatMap((item, i) => schemaFaults(items, item, `${pointer}/${i}`));
    if (inside.length > 0) return inside;
  }
  return [ownFault(schema, value, pointer)];
}
function ownFault(schema, value, pointer) {
  const node = schema;
  if (value === void 0) return { pointer, detail: "is required" };
  if (node.const !== void 0) return { pointer, detail: `must be ${JSON.stringify(node.const)}` };
  const detail = Value.Errors(schema, value).find((error) => error.instancePath === "")?.message;
  return { pointer, detail: detail ?? "is not valid" };
}
function objectFaults(schema, node, value, pointer) {
  const properties = node.properties ?? {};
  const faults = [];
  for (const name of node.required ?? []) {
    if (!Object.hasOwn(value, name)) faults.push({ pointer: `${pointer}/${escape(name)}`, detail: "is required" });
  }
  for (const [name, item] of Object.entries(value)) {
    const at = `${pointer}/${escape(name)}`;
    const known = Object.hasOwn(properties, name) ? properties[name] : void 0;
    const matching = Object.entries(node.patternProperties ?? {}).filter(([pattern]) => new RegExp(pattern).test(name));
    if (known !== void 0) faults.push(...schemaFaults(known, item, at));
    else if (matching.length > 0) faults.push(...matching.flatMap(([, part]) => schemaFaults(part, item, at)));
    else if (node.patternProperties !== void 0 && Object.keys(properties).length === 0) {
      faults.push({ pointer: at, detail: `the name must match ${Object.keys(node.patternProperties).join(" or ")}` });
    } else if (node.additionalProperties === false) {
      faults.push({ pointer: at, detail: `is not a known field; known are ${quoted(Object.keys(properties))}` });
    }
  }
  return faults.length > 0 ? faults : [ownFault(schema, value, pointer)];
}
function unionFaults(branches, value, pointer) {
  if (value === void 0) return [{ pointer, detail: "is required" }];
  const nodes = branches.map((branch) => branch);
  if (nodes.every((node) => node.const !== void 0)) {
    return [{ pointer, detail: `must be one of ${nodes.map((node) => JSON.stringify(node.const)).join(", ")}` }];
  }
  const nullable2 = nodes.some((node) => node.type === "null");
  const open = branches.filter((_, i) => nodes[i]?.type !== "null");
  const [only] = open;
  if (open.length === 1 && only !== void 0) return orNull(schemaFaults(only, value, pointer), pointer, nullable2);
  return objectChoiceFaults(open, value, pointer);
}
var orNull = (faults, pointer, nullable2) => faults.map(
  (fault2) => nullable2 && fault2.pointer === pointer ? { pointer, detail: `${fault2.detail}, or null` } : fault2
);
function objectChoiceFaults(branches, value, pointer) {
  const fields = branches.map((branch) => Object.keys(branch.properties ?? {}));
  const choices = fields.map((names) => `{${quoted(names)}}`).join(" or ");
  const sentence = fields.every((names) => names.length === 1) ? `must have exactly one of ${quoted(fields.flat())}` : `must be ${choices}`;
  if (!isObject(value)) return [{ pointer, detail: `${sentence} (an object)` }];
  const meant = branches.filter((_, i) => fields[i]?.some((name) => Object.hasOwn(value, name)));
  const [one] = meant;
  if (meant.length === 1 && one !== void 0) return schemaFaults(one, value, pointer);
  const given = Object.keys(value);
  return [{ pointer, detail: `${sentence}; ${given.length === 0 ? "it has none" : `given: ${quoted(given)}`}` }];
}

// src/api/problem.ts
import { Type as Type2 } from "typebox";

// src/errors/storable.ts
var MAX_DEPTH = 64;
function checkStorable(value, prefix = "") {
  const open = [{ value, pointer: prefix, depth: 0 }];
  for (let next = open.pop(); next !== void 0; next = open.pop()) {
    const { value: at, pointer, depth } = next;
    if (typeof at === "string") checkText(at, pointer);
    if (typeof at !== "object" || at === null) continue;
    if (depth === MAX_DEPTH) throw fault(pointer, `is nested deeper than ${String(MAX_DEPTH)} levels`);
    for (const [name, inner] of Object.entries(at)) {
      checkText(name, pointer);
      if (name === "__proto__" && prefix === "") throw fault(`${pointer}/__proto__`, "is not taken as a name");
      open.push({ value: inner, pointer: `${pointer}/${escaped(name)}`, depth: depth + 1 });
    }
  }
}
function checkText(text3, pointer) {
  if (text3.includes("\0")) throw fault(pointer, "contains the character U+0000");
  if (!text3.isWellFormed()) throw fault(pointer, "contains half of a surrogate pair");
}
var escaped = (name) => name.replaceAll("~", "~0").replaceAll("/", "~1");
var fault = (pointer, detail) => new InputError("invalid_request", `${pointer} ${detail}`.trim(), { faults: [{ pointer, detail }] });

// src/errors/classify.ts
var MACHINE = [
  /^(ENOSPC|EDQUOT|EFBIG|EROFS|EACCES|EPERM|EIO|EMFILE|ENFILE|ENOMEM|ENODEV|ENXIO|EAGAIN)$/,
  /^(ERR_DLOPEN_FAILED|ERR_MODULE_NOT_FOUND|MODULE_NOT_FOUND|ERR_WORKER_OUT_OF_MEMORY|GPUOutOfMemoryError)$/
];
var CREDENTIALS = [
  /^(AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|ExpiredTokenException|InvalidToken|TokenRefreshRequired)$/,
  /^(CredentialsProviderError|InvalidClientTokenId|UnrecognizedClientException|AuthorizationHeaderMalformed|Forbidden|Unauthorized)$/,
  /^(RequestTimeTooSkewed|NoSuchBucket|PermanentRedirect|InvalidBucketName)$/,
  /^(28\d{3}|28P01|42501|P1000|P1010|AuthenticationFailed|DatabaseAccessDenied)$/
];
var REFUSED_STATUS = [401, 403];
var NO_MEMORY = /^(Array buffer allocation failed|WebAssembly\.Memory\(\): could not allocate memory|std::bad_alloc|OOM when allocating tensor|.{0,40}CUDA_ERROR_OUT_OF_MEMORY)/;
var NETWORK = /^(ECONN|EPIPE$|ETIMEDOUT$|ENOTFOUND$|EAI_AGAIN$|EHOSTUNREACH$|ENETUNREACH$)/;
var DEPTH = 5;
function* codesOf(error, depth = 0) {
  if (typeof error !== "object" || error === null || depth > DEPTH) return;
  const fields = error;
  for (const name of ["code", "originalCode", "kind", "name"]) {
    const code = fields[name];
    if (typeof code === "string") yield code;
  }
  for (const name of ["cause", "meta", "driverAdapterError", "error"]) yield* codesOf(fields[name], depth + 1);
}
function ownFault2(error) {
  if (error instanceof OwnFaultError) return error.message;
  for (const code of codesOf(error)) {
    if ([...MACHINE, ...CREDENTIALS].some((pattern) => pattern.test(code))) return code;
  }
  const status = error?.$metadata?.httpStatusCode;
  if (status !== void 0 && REFUSED_STATUS.includes(status)) return String(status);
  return error instanceof Error && NO_MEMORY.test(error.message) ? "out of memory" : null;
}
function asSparankError(error) {
  if (error instanceof SparankError) return error;
  const fault2 = ownFault2(error);
  if (fault2 !== null) return new OwnFaultError("compute_failed", `this machine failed (${fault2})`, { cause: error });
  for (const code of codesOf(error)) {
    if (NETWORK.test(code)) return new InfrastructureError("unavailable", `no connection (${code})`, { cause: error });
  }
  const { name, message: message2 } = error instanceof Error ? error : { name: "error", message: String(error) };
  const what = error instanceof Error && "syscall" in error ? name : `${name}: ${message2}`;
  return new BugError("internal", `an unexpected error (${what})`, { cause: error });
}

// src/api/problem.ts
var PROBLEM_TYPE = "application/problem+json";
var ProblemSchema = Type2.Object(
  {
    type: Type2.String({ description: "urn:sparank:error:<code>" }),
    title: Type2.String(),
    status: Type2.Integer(),
    detail: Type2.String(),
    instance: Type2.String({ description: "the path that was called" }),
    code: Type2.String({ description: "stable, for programs" }),
    request_id: Type2.String({ description: "also in X-Request-Id and in the logs" }),
    errors: Type2.Optional(Type2.Array(Type2.Object({ pointer: Type2.String(), detail: Type2.String() })))
  },
  { $id: "Problem" }
);
var MEANING_OF_STATUS = {
  400: { code: "invalid_request", pointer: "#body" },
  404: { code: "not_found" },
  406: { code: "invalid_request", pointer: "#header/accept" },
  408: { code: "invalid_request", pointer: "#request" },
  413: { code: "payload_too_large", pointer: "#body" },
  412: { code: "invalid_request", pointer: "#header" },
  414: { code: "invalid_request", pointer: "#path" },
  415: { code: "unsupported_media_type", pointer: "#header/content-type" },
  416: { code: "range_not_satisfiable", pointer: "#header/range" },
  429: { code: "too_many_requests" },
  503: { code: "unavailable" }
};
var POINTER_OF_CODE = {
  FST_ERR_BAD_URL: "#path",
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: "#header/content-length"
};
var ANY_OF_CLIENT = { code: "invalid_request", pointer: "#request" };
var BODY_TYPES = ["application/json", "multipart/form-data", "application/x-www-form-urlencoded"];
var RETRY_AFTER_SECONDS = 5;
var requestFault = (pointer, detail, cause) => new InputError("invalid_request", `${pointer} ${detail}`.trim(), { faults: [{ pointer, detail }], cause });
var unsupported = (pointer, detail) => new InputError("unsupported_media_type", detail, { faults: [{ pointer, detail }] });
function detailOf(status, message2, { headers: headers2, server, routeOptions }) {
  if (status === 413) return `the body may have ${String(routeOptions.bodyLimit)} bytes`;
  if (status !== 415) return message2;
  const taken = BODY_TYPES.filter((type) => server.hasContentTypeParser(type)).join(" or ");
  return `this call takes ${taken}; the Content-Type is ${headers2["content-type"] ?? "missing"}`;
}
var isOfClient = (status) => status !== void 0 && status >= 400 && status < 500;
function statusOf2(error, told2) {
  const { statusCode } = error;
  const kept = !(error instanceof SparankError) && told2 instanceof InputError && isOfClient(statusCode);
  return kept ? statusCode ?? told2.status : told2.status;
}
var mayWorkElsewhere = ({ class: kind, status }) => kind === "own_fault" || kind === "outage" && status >= 500;
function expectedError(error, request) {
  if (error instanceof SparankError) {
    return error.status === 500 && mayWorkElsewhere(error) ? new InfrastructureError("unavailable", "") : error;
  }
  const { raw } = request;
  if (raw.destroyed && !raw.complete) return requestFault("#body", "was cut short", error);
  const { statusCode, message: message2, code } = error;
  const meaning = MEANING_OF_STATUS[statusCode ?? 0] ?? (isOfClient(statusCode) ? ANY_OF_CLIENT : void 0);
  if (statusCode === void 0 || meaning === void 0)
    return new InfrastructureError(mayWorkElsewhere(asSparankError(error)) ? "unavailable" : "internal", "");
  if (statusCode === 503) return new InfrastructureError(meaning.code, "");
  const pointer = POINTER_OF_CODE[code ?? ""] ?? meaning.pointer;
  const detail = detailOf(statusCode, message2 ?? "", request);
  return new InputError(meaning.code, detail, { faults: pointer === void 0 ? [] : [{ pointer, detail }] });
}
function problemBody(error, { status = error.status, instance, requestId }) {
  const hidden = status >= 500;
  const detail = hidden ? `${error.title}. Give the request id when you report this.` : error.message;
  return {
    type: `urn:sparank:error:${error.code}`,
    title: error.title,
    status,
    detail,
    instance,
    code: error.code,
    request_id: requestId,
    ...!hidden && error.faults.length > 0 ? { errors: error.faults } : {}
  };
}
function toProblem(error, request) {
  const instance = request.url.split("?")[0] ?? "/";
  const told2 = expectedError(error, request);
  return problemBody(told2, { status: statusOf2(error, told2), instance, requestId: request.id });
}
function sendProblem(error, request, reply) {
  const problem = toProblem(error, request);
  if (problem.status >= 500) request.log.error({ err: error }, "request failed");
  if (problem.status === 401) reply.header("WWW-Authenticate", 'Bearer realm="sparank"');
  const retryAfter = error instanceof SparankError ? error.retryAfterSeconds : void 0;
  if (retryAfter !== void 0) reply.header("Retry-After", retryAfter);
  else if (problem.status === 503) reply.header("Retry-After", RETRY_AFTER_SECONDS);
  for (const name of ["ETag", "Content-Disposition", "Content-Length", "Location"]) reply.removeHeader(name);
  return reply.header("X-Request-Id", request.id).code(problem.status).type(PROBLEM_TYPE).serializer(JSON.stringify).send(problem);
}
var notFound = (what) => new InputError("not_found", `there is no such ${what}`);

// src/api/validation.ts
var NUMBER = /^-?\d+(\.\d+)?$/;
var PREFIX = { body: "", querystring: "#query", params: "#path", headers: "#header" };
function fromText(schema, given) {
  const properties = schema.properties;
  if (properties === void 0 || typeof given !== "object" || given === null) return given;
  const value = Object.entries(given).map(([name, text3]) => {
    const property = properties[name];
    const type = property !== void 0 && "type" in property ? property.type : void 0;
    if (property === void 0) return [name, text3];
    if (type !== "integer" && type !== "number") return [name, Value2.Convert(property, structuredClone(text3))];
    return [name, typeof text3 === "string" && NUMBER.test(text3) ? Number(text3) : text3];
  });
  return Object.fromEntries(value);
}
var validatorCompiler = ({ schema, httpPart }) => {
  const checker2 = Compile(schema);
  const prefix = PREFIX[httpPart ?? "body"] ?? "";
  return (given) => {
    const converted = httpPart === "body" ? given : fromText(schema, given);
    const value = Value2.Default(schema, converted);
    if (checker2.Check(value)) return { value };
    const faults = schemaFaults(schema, value, prefix);
    const detail = faults.map((fault2) => `${fault2.pointer} ${fault2.detail}`.trim()).join("; ");
    return { error: new InputError("invalid_request", detail, { faults }) };
  };
};
var bodyIsCheckedByHandler = (route) => route.httpPart === "body" ? (value) => ({ value }) : validatorCompiler(route);
var serializerCompiler = (logger) => ({ schema, method, url, httpStatus }) => {
  const checker2 = Compile(schema);
  return (value) => {
    if (!checker2.Check(value)) {
      logger.error(
        { method, url, httpStatus, faults: schemaFaults(schema, value) },
        "an answer does not fit its schema"
      );
    }
    return JSON.stringify(value);
  };
};
var queryFault = (name, detail) => requestFault(`#query/${name}`, detail);
var badCursor = (what) => queryFault("after", `names a ${what} that is not there (any more)`);
var FIRST_TIME = Date.parse("0001-01-01T00:00:00Z");
var LAST_TIME = Date.parse("9999-12-31T23:59:59.999Z");
var isStorableTime = (ms) => ms >= FIRST_TIME && ms <= LAST_TIME;
var TIME = /^(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/i;
function isDay(day) {
  const time = /* @__PURE__ */ new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(day);
}
function readTime(given, pointer) {
  const time = new Date(given);
  const day = TIME.exec(given)?.[1];
  if (day === void 0 || !isDay(day) || Number.isNaN(time.getTime()))
    throw requestFault(pointer, "must be a time such as 2026-01-31T12:00:00Z");
  if (!isStorableTime(time.getTime())) throw requestFault(pointer, "must be in the years 0001 to 9999 (UTC)");
  return time;
}

// src/api/admin/audit.ts
var EntrySchema = Type3.Object(
  {
    id: Type3.String(),
    object: Type3.Literal("audit_entry"),
    at: Time,
    action: Type3.Enum([...AUDIT_ACTIONS]),
    actor: Nullable(
      Type3.Object(
        {
          key_id: Type3.String(),
          key_prefix: Type3.String(),
          team_id: Type3.String(),
          request_id: Type3.String({ description: "as in the log" }),
          address: Type3.String()
        },
        { description: "whose key it was; null: the service itself, by its settings" }
      )
    ),
    team_id: Nullable(Type3.String({ description: "the team that it was done to" })),
    subject: Type3.String({ description: "id of what it was done to" }),
    detail: Type3.Record(Type3.String(), Type3.Unknown())
  },
  { $id: "AuditEntry" }
);
var isAction = (name) => AUDIT_ACTIONS.some((action) => action === name);
function readActions(given) {
  return given.split(",").map((name) => {
    if (!isAction(name)) throw queryFault("action", `must be one or more of ${AUDIT_ACTIONS.join(", ")}, with commas`);
    return name;
  });
}
var present = ({ actor, ...entry }) => ({
  id: entry.id,
  object: "audit_entry",
  at: entry.at.toISOString(),
  action: entry.action,
  actor: actor && {
    key_id: actor.keyId,
    key_prefix: actor.keyPrefix,
    team_id: actor.teamId,
    request_id: actor.requestId,
    address: actor.address
  },
  team_id: entry.teamId,
  subject: entry.subject,
  detail: entry.detail
});
var adminAudit = async (app2, { deps }) => {
  app2.get(
    "/admin/audit",
    {
      config: { scope: "admin" },
      schema: {
        operationId: "listAuditEntries",
        tags: ["admin"],
        summary: "Who changed keys, teams and what belongs to others, newest first",
        querystring: Type3.Object(
          {
            limit: Limit,
            after: Type3.Optional(Type3.String({ description: "`next` of the page before" })),
            team: Type3.Optional(Type3.String({ description: "what was done to this team" })),
            action: Type3.Optional(Type3.String({ description: "one or more, with commas" })),
            subject: Type3.Optional(Type3.String({ description: "id of a key, team, job or worker" })),
            created_after: Type3.Optional(Type3.String({ description: "RFC 3339" }))
          },
          { additionalProperties: false }
        ),
        response: { 200: PageOf(EntrySchema, "AuditPage") }
      }
    },
    async (request) => {
      const { limit, after, team, action, subject, created_after } = request.query;
      const filter2 = { limit };
      if (after !== void 0 && !/^\d{1,18}$/.test(after)) throw queryFault("after", "is not the `next` of a page");
      if (after !== void 0) filter2.after = after;
      if (team !== void 0) filter2.teamId = team;
      if (action !== void 0) filter2.action = readActions(action);
      if (subject !== void 0) filter2.subject = subject;
      if (created_after !== void 0) filter2.createdAfter = readTime(created_after, "#query/created_after");
      const { data, hasMore } = await deps.database.audit.list(filter2);
      return page(data, hasMore, present, ({ id }) => id);
    }
  );
};

// src/api/admin/jobs.ts
import { Type as Type10 } from "typebox";

// src/api/jobs/filter.ts
import { Type as Type4 } from "typebox";

// src/jobs/tasks.ts
var PHASES = ["inspect", "plan", "layers", "assemble", "evaluate"];
var JOB_STATUSES = ["queued", "running", "canceling", "succeeded", "failed", "canceled"];

// src/api/jobs/filter.ts
var LABEL = "label.";
var MOST_WHOLE = 100;
var MOST_ROWS = 1e3;
var isStatus = (name) => JOB_STATUSES.some((status) => status === name);
var ChoiceSchema = Type4.Object({
  status: Type4.Optional(
    Type4.Union([Type4.String(), Type4.Array(Type4.String())], { description: "one or more, with commas" })
  ),
  text: Type4.Optional(
    Type4.String({
      minLength: 1,
      maxLength: 200,
      description: "in the id, the values of labels or the name of the model; large and small letters are alike"
    })
  )
});
var FilterSchema = Type4.Object({
  ...ChoiceSchema.properties,
  limit: Type4.Integer({
    minimum: 1,
    maximum: MOST_ROWS,
    default: 20,
    description: `of whole jobs ${String(MOST_WHOLE)} at most`
  }),
  after: Type4.Optional(Type4.String({ description: "`next` of the page before" })),
  created_after: Type4.Optional(Type4.String({ description: "RFC 3339" })),
  updated_after: Type4.Optional(
    Type4.String({ description: "RFC 3339; what changed since. Take a moment earlier than the last look" })
  ),
  fields: Type4.Optional(Type4.Enum(["short"], { description: "short: rows instead of whole jobs" })),
  total: Type4.Boolean({ default: false, description: "count all that match" })
});
var LIST_PARAMETERS = {
  status: {
    style: "form",
    explode: false,
    schema: { type: "array", items: { type: "string", enum: [...JOB_STATUSES] } }
  }
};
function readStatus(given) {
  const names = [given].flat().flatMap((text3) => text3.split(","));
  return names.map((name) => {
    if (!isStatus(name)) throw queryFault("status", `must be one of ${JOB_STATUSES.join(", ")}`);
    return name;
  });
}
function readLabels(query) {
  const given = Object.entries(query).filter(([name]) => name.startsWith(LABEL));
  return Object.fromEntries(
    given.map(([name, value]) => {
      if (typeof value !== "string") throw queryFault(name, "is given twice");
      return [name.slice(LABEL.length), value];
    })
  );
}
function readChoice(query) {
  const { status, text: text3 } = query;
  return {
    labels: readLabels(query),
    ...status === void 0 ? {} : { status: readStatus(status) },
    ...text3 === void 0 ? {} : { text: text3 }
  };
}
function readFilter(query) {
  const { limit, after, created_after, updated_after, fields } = query;
  if (fields !== "short" && limit > MOST_WHOLE)
    throw queryFault("limit", `must be at most ${String(MOST_WHOLE)}; with fields=short ${String(MOST_ROWS)}`);
  const filter2 = { limit, ...readChoice(query) };
  if (after !== void 0) filter2.after = after;
  if (created_after !== void 0) filter2.createdAfter = readTime(created_after, "#query/created_after");
  if (updated_after !== void 0) filter2.updatedAfter = readTime(updated_after, "#query/updated_after");
  return filter2;
}

// src/api/jobs/list.ts
import { Type as Type9 } from "typebox";

// src/api/plugins/auth.ts
import { createHash } from "node:crypto";

// src/api/plugins/same-origin.ts
var SAFE = /* @__PURE__ */ new Set(["GET", "HEAD", "OPTIONS"]);
function isOwnPage({ headers: headers2, host: host2 }) {
  const site = headers2["sec-fetch-site"];
  if (site !== void 0) return site === "same-origin";
  const { origin } = headers2;
  if (origin === void 0) return null;
  return URL.canParse(origin) && new URL(origin).host === host2;
}
var refusal = () => new InputError(
  "forbidden",
  'a session of the dashboard is for its own pages; other programs send the header "Authorization: Bearer <API key>"'
);
function refuseForged(request) {
  if (!SAFE.has(request.method) && isOwnPage(request) !== true) throw refusal();
}
function refuseForeign(request) {
  if (isOwnPage(request) === false) throw refusal();
}

// src/api/plugins/session.ts
import { createHmac, timingSafeEqual } from "node:crypto";
var BOARD_SESSION = { name: "sparank_admin", path: "/admin", seconds: 3600 };
var PAGE_SESSION = { name: "sparank_session", path: "/", seconds: 12 * 3600 };
var TOKEN = /^(key_[a-z0-9]+)\.(\d{1,12})\.([\w-]{43})$/;
var sign = (kind, keyId, until, keyHash) => createHmac("sha256", keyHash).update(`${kind.name}.${keyId}.${until}`).digest("base64url");
function sessionCookie(request, kind, key) {
  const until = String(Math.floor(Date.now() / 1e3) + kind.seconds);
  return cookie(request, kind, {
    value: `${key.id}.${until}.${sign(kind, key.id, until, key.hash)}`,
    age: kind.seconds
  });
}
var endedCookie = (request, kind) => cookie(request, kind, { value: "", age: 0 });
function cookie(request, kind, { value, age }) {
  const secure = request.protocol === "https" || request.headers["x-forwarded-proto"] === "https";
  const attributes = [`Path=${kind.path}`, `Max-Age=${age}`, "HttpOnly", "SameSite=Strict"];
  return [`${kind.name}=${value}`, ...attributes, ...secure ? ["Secure"] : []].join("; ");
}
function valueOf(header, name) {
  const pair = header.split(";").find((one) => one.trimStart().startsWith(`${name}=`));
  return pair?.trim().slice(name.length + 1);
}
async function openSession(request, kind, keys) {
  const token = valueOf(request.headers.cookie ?? "", kind.name);
  const [, keyId = "", until = "", mac = ""] = TOKEN.exec(token ?? "") ?? [];
  if (keyId === "" || Number(until) * 1e3 <= Date.now()) return null;
  const key = await keys.byId(request, keyId);
  if (key !== null && timingSafeEqual(Buffer.from(mac), Buffer.from(sign(kind, keyId, until, key.hash))))
    return { key, until: new Date(Number(until) * 1e3) };
  throw await keys.refusal(request, "the session has ended");
}

// src/api/negotiate.ts
import Negotiator from "negotiator";
var prefers = ({ raw }, type, usual) => new Negotiator(raw).mediaType([usual, type]) === type;

// src/api/plugins/auth.ts
var hashKey = (key) => createHash("sha256").update(key).digest("hex");
var SEND_A_KEY = 'send the header "Authorization: Bearer <API key>"';
var NOT_VALID = "the API key is unknown, revoked or expired";
var BEARER = /^Bearer +([\x21-\x7e]{1,512})$/i;
async function sessionOf(request, lookup2) {
  if (request.routeOptions.config.login !== void 0) {
    const board = await openSession(request, BOARD_SESSION, lookup2);
    if (board !== null) return board.key;
  }
  const session = await openSession(request, PAGE_SESSION, lookup2);
  if (session !== null) refuseForged(request);
  return session?.key ?? null;
}
async function identify(request, keys, lookup2) {
  const session = request.headers.authorization === void 0 ? await sessionOf(request, lookup2) : null;
  if (session !== null) {
    touch(request, keys, session);
    return callerOf(session);
  }
  const header = request.headers.authorization;
  if (header === void 0) throw new InputError("unauthorized", SEND_A_KEY);
  const key = BEARER.exec(header)?.[1];
  if (key === void 0) throw await lookup2.refusal(request, SEND_A_KEY);
  const record = await lookup2.byHash(request, hashKey(key));
  if (record === null) throw await lookup2.refusal(request, NOT_VALID);
  touch(request, keys, record);
  return callerOf(record);
}
function touch(request, keys, key) {
  keys.touch(key).catch((error) => request.log.warn({ err: error }, "the use of a key was not noted"));
}
var callerOf = ({ id, teamId, prefix, scopes, requestsPerMinute }) => ({
  teamId,
  keyId: id,
  keyPrefix: prefix,
  scopes,
  requestsPerMinute
});
function registerAuth(app2, keys, lookup2) {
  const routes = [];
  app2.decorateRequest("caller", null);
  app2.addHook("onRoute", (route) => void routes.push(route));
  app2.addHook("onReady", async () => {
    const open = routes.filter((route) => route.config?.scope === void 0);
    if (open.length > 0) {
      throw new Error(`routes without a scope: ${open.map((r) => `${String(r.method)} ${r.url}`).join(", ")}`);
    }
  });
  app2.addHook("onRequest", async (request, reply) => {
    if (request.is404) return;
    const { scope, login } = request.routeOptions.config;
    if (scope === "public") return;
    try {
      request.caller = await identify(request, keys, lookup2);
    } catch (error) {
      const isPage = login !== void 0 && prefers(request, "text/html", PROBLEM_TYPE);
      if (isPage && error instanceof InputError && error.code === "unauthorized") return reply.redirect(login, 303);
      throw error;
    }
    const { scopes } = request.caller;
    const accepted = scope === void 0 ? [] : typeof scope === "string" ? [scope] : scope;
    if (!accepted.some((one) => scopes.includes(one))) {
      throw new InputError(
        "forbidden",
        `this call needs the scope ${accepted.join(" or ")}; the key has ${scopes.join(", ")}`
      );
    }
  });
}
function callerFrom(request) {
  if (request.caller === null) throw new InfrastructureError("internal", "a public route has no caller");
  return request.caller;
}
var teamOf = (request) => callerFrom(request).teamId;

// src/api/jobs/etag.ts
var STEPS = 2;
var coarse = (seconds2) => seconds2 === null ? "" : String(Math.round(STEPS * Math.log2(1 + seconds2)));
function jobEtag(job, place) {
  return `W/"${job.status}.${job.version}${place === null ? "" : `.${placeTag(place)}`}"`;
}
var placeTag = ({ position, reason, expectedStartSeconds }) => `${position}.${reason}.${coarse(expectedStartSeconds)}`;
var opaque = (tag) => tag.trim().replace(/^W\//, "");
function matches(header, etag) {
  if (header === void 0) return false;
  return header.trim() === "*" || header.split(",").some((tag) => opaque(tag) === opaque(etag));
}
var statusSeen = (header) => /"([a-z]+)\.\d+[^"]*"/.exec(header ?? "")?.[1] ?? null;

// src/api/jobs/list-etag.ts
import { createHash as createHash2 } from "node:crypto";
import { LRUCache } from "lru-cache";
var LISTS = 2e3;
var PLACES_MS = 1e3;
var now = () => performance.now();
function listEtags(jobs) {
  const known = new LRUCache({ max: LISTS });
  const keyOf = (teamId, fields, filter2) => JSON.stringify([teamId, fields, filter2]);
  const tag = (fields, digest, places) => {
    const text3 = JSON.stringify([fields, digest, places.map(placeTag)]);
    return `W/"${createHash2("sha1").update(text3).digest("base64url")}"`;
  };
  return {
    /** The ETag that the list has now; null when that is not known without reading it. */
    async current(teamId, fields, filter2) {
      const key = keyOf(teamId, fields, filter2);
      if (!known.has(key)) return null;
      const digest = await jobs.digest(teamId, filter2);
      const entry = known.get(key);
      if (entry?.digest !== digest) return null;
      if (now() < entry.until) return entry.etag;
      const places = await Promise.all(entry.queued.map((job) => jobs.place(job)));
      entry.until = now() + PLACES_MS;
      entry.etag = tag(fields, digest, places);
      return entry.etag;
    },
    /** Of a page that was read. */
    note({ teamId, fields, filter: filter2 }, { digest, data }, places) {
      const queued = data.filter(({ status }) => status === "queued");
      const etag = tag(
        fields,
        digest,
        places.filter((place) => place !== null)
      );
      const until = queued.length === 0 ? Infinity : now() + PLACES_MS;
      known.set(keyOf(teamId, fields, filter2), { digest, etag, queued, until });
      return etag;
    }
  };
}

// src/api/jobs/schema.ts
import { Type as Type8 } from "typebox";

// src/models/formats/index.ts
var MODEL_FORMATS = {
  onnx: { meaning: "one .onnx file", extension: "onnx" },
  onnx_zip: { meaning: "a zip of an .onnx file and its external data", extension: "zip" }
};
var modelFormats = Object.keys(MODEL_FORMATS);

// src/jobs/points.ts
var targetsOf = ({ target, targets }) => targets ?? [target];

// src/jobs/results.ts
import { Type as Type7 } from "typebox";

// src/models/low-rank/channel.ts
var channel = {
  convolutions: "k x k, 1x1",
  narrows: "output",
  applies: () => true,
  parts: ({ d, channels, positions }, { rank }, outputs) => [
    { outputs: rank, channels, taps: d / channels, places: positions },
    { outputs, channels: rank, taps: 1, places: positions }
  ]
};

// src/models/low-rank/spatial.ts
var spatial = {
  convolutions: "k x 1, 1 x k",
  narrows: "input",
  applies: ({ taps, lastAxis }) => lastAxis !== void 0 && lastAxis > 1 && taps / lastAxis > 1,
  parts: ({ channels, kernel, positions, inputSize, outputSize }, { rank }, outputs) => {
    const [kh = 1, kw = 1] = kernel;
    const places = (outputSize[0] ?? 1) * (inputSize[1] ?? 1);
    return [
      { outputs: rank, channels, taps: kh, places },
      { outputs, channels: rank, taps: kw, places: positions }
    ];
  }
};

// src/models/low-rank/tucker.ts
var tucker = {
  convolutions: "1x1, k x k, 1x1",
  narrows: "both",
  applies: ({ taps }) => taps > 1,
  parts: ({ d, channels, positions, inputSize }, { rank, inner }, outputs) => [
    { outputs: inner, channels, taps: 1, places: inputSize.reduce((a, b) => a * b, 1) },
    { outputs: rank, channels: inner, taps: d / channels, places: positions },
    { outputs, channels: rank, taps: 1, places: positions }
  ]
};

// src/models/low-rank/index.ts
var LOW_RANK_SHAPES = { channel, tucker, spatial };
var lowRankShapes = Object.keys(LOW_RANK_SHAPES);

// src/models/sparse/pattern.ts
var spread = (count2, of) => Array.from({ length: count2 }, (_, i) => Math.floor(i * of / count2));
var filled = (length, value) => new Float32Array(length).fill(value);
var denseLayer = ({ m, d, channels, positions }) => ({
  outputs: m,
  channels,
  taps: d / channels,
  places: positions
});

// src/models/sparse/block.ts
var BLOCK = { outputs: 32, inputs: 8 };
function blocksOf({ m, channels }) {
  const outputs = largestDivisor(m, Math.min(BLOCK.outputs, m / 2));
  const inputs = largestDivisor(channels, Math.min(BLOCK.inputs, channels / 2));
  return { outputs, inputs, rows: m / outputs, columns: channels / inputs };
}
function largestDivisor(n, limit) {
  for (let divisor = Math.floor(limit); divisor > 1; divisor--) if (n % divisor === 0) return divisor;
  return 1;
}
var storesZeros = (op) => op === "MatMul";
var block = {
  group: "a block of outputs x input channels",
  groups: "blocks",
  stores: "all",
  width: (taps) => taps,
  total: (layer) => {
    const { rows, columns } = blocksOf(layer);
    return rows * columns;
  },
  step: (layer) => blocksOf(layer).rows,
  count: ({ kept }) => kept.length,
  storesZeros,
  parts: (layer, groups) => {
    const { inputs, rows } = blocksOf(layer);
    const dense = denseLayer(layer);
    return [storesZeros(layer.op) ? dense : { ...dense, channels: groups / rows * inputs }];
  },
  nonzeros: (layer, groups) => {
    const { outputs, inputs } = blocksOf(layer);
    return groups * outputs * inputs * layer.d / layer.channels;
  },
  even: (layer, groups, value) => {
    const { m, d, channels } = layer;
    const { rows, columns, outputs, inputs } = blocksOf(layer);
    const width = inputs * d / channels;
    const weights = new Float32Array(m * d);
    const kept = [];
    for (let row = 0; row < rows; row++) {
      for (const at of spread(groups / rows, columns)) {
        kept.push(row * columns + at);
        for (let o = row * outputs; o < (row + 1) * outputs; o++) {
          weights.fill(value, o * d + at * width, o * d + (at + 1) * width);
        }
      }
    }
    return { kept, weights };
  }
};

// src/models/sparse/channel.ts
var channel2 = {
  group: "an input channel",
  groups: "channels",
  stores: "columns",
  width: (taps) => taps,
  total: ({ channels }) => channels,
  step: () => 1,
  count: ({ kept }) => kept.length,
  storesZeros: () => false,
  parts: (layer, groups) => [{ ...denseLayer(layer), channels: groups }],
  nonzeros: ({ m, d, channels }, groups) => groups * d * m / channels,
  even: ({ m, d, channels }, groups, value) => ({
    kept: spread(groups, channels),
    weights: filled(m * groups * d / channels, value)
  })
};

// src/models/sparse/column.ts
var column = {
  group: "a tap of an input channel",
  groups: "columns",
  stores: "columns",
  width: () => 1,
  total: ({ d }) => d,
  step: () => 1,
  count: ({ kept }) => kept.length,
  storesZeros: () => false,
  parts: (layer, groups) => {
    const dense = denseLayer(layer);
    const sum = { ...dense, channels: groups, taps: 1 };
    return dense.taps === 1 ? [sum] : [{ ...dense, outputs: groups, channels: 1 }, sum];
  },
  nonzeros: ({ m, d, channels }, groups) => groups * (d === channels ? m : m + 1),
  even: ({ m, d }, groups, value) => ({ kept: spread(groups, d), weights: filled(m * groups, value) })
};

// src/models/sparse/filter.ts
var filter = {
  group: "an output",
  groups: "filters",
  stores: "rows",
  width: (taps) => taps,
  total: ({ m }) => m,
  step: () => 1,
  count: ({ kept }) => kept.length,
  storesZeros: () => false,
  parts: (layer, groups, alone) => {
    const dense = denseLayer(layer);
    const rows = { ...dense, outputs: groups };
    return alone ? [rows, { ...dense, channels: layer.op === "Conv" ? 1 : groups, taps: 1 }] : [rows];
  },
  nonzeros: ({ d }, groups, alone) => groups * d + (alone ? groups : 0),
  even: ({ m, d }, groups, value) => ({ kept: spread(groups, m), weights: filled(groups * d, value) })
};

// src/models/sparse/n-m.ts
var KEPT_OF = { n: 2, m: 4 };
var foursOf = (m, d) => m * Math.ceil(d / KEPT_OF.m);
var nOfM = {
  group: "two of every four neighbours",
  groups: "fours",
  stores: "all",
  width: (taps) => taps,
  total: ({ m, d }) => foursOf(m, d),
  step: () => null,
  count: ({ weights }, m) => foursOf(m, weights.length / m),
  storesZeros: () => true,
  parts: (layer) => [denseLayer(layer)],
  nonzeros: ({ m, d }) => m * (KEPT_OF.n * Math.floor(d / KEPT_OF.m) + Math.min(KEPT_OF.n, d % KEPT_OF.m)),
  even: ({ m, d }, _, value) => ({
    kept: [],
    weights: new Float32Array(m * d).map((__, i) => i % d % KEPT_OF.m < KEPT_OF.n ? value : 0)
  })
};

// src/models/sparse/unstructured.ts
var unstructured = {
  group: "a single weight",
  groups: "weights",
  stores: "all",
  width: (taps) => taps,
  total: ({ m, d }) => m * d,
  step: () => 1,
  count: ({ weights }) => weights.reduce((count2, w) => w === 0 ? count2 : count2 + 1, 0),
  storesZeros: () => true,
  parts: (layer) => [denseLayer(layer)],
  nonzeros: (_, groups) => groups,
  even: ({ m, d }, groups, value) => {
    const weights = new Float32Array(m * d);
    for (const i of spread(groups, m * d)) weights[i] = value;
    return { kept: [], weights };
  }
};

// src/models/sparse/index.ts
var PATTERNS = { channel: channel2, filter, column, block, "n:m": nOfM, unstructured };
var PATTERN = PATTERNS;
var SPARSE_PATTERNS = Object.keys(PATTERNS);
var PLAIN_PATTERN = "channel";

// src/jobs/one-of.ts
import { Type as Type5 } from "typebox";
function oneOf(names, options = {}) {
  const literals = names.map((name) => Type5.Literal(name));
  return Type5.Union(literals, options);
}

// src/jobs/spec.ts
import { Type as Type6 } from "typebox";

// src/engines/onnxruntime/engine.ts
import { availableParallelism } from "node:os";

// src/runtime/no-telemetry.ts
process.env["ORT_DISABLE_TELEMETRY"] ??= "1";

// src/runtime/session.ts
async function loadRuntime(who) {
  try {
    return await import("onnxruntime-node");
  } catch (cause) {
    throw new OwnFaultError("unavailable", `${who} needs the package onnxruntime-node`, { cause });
  }
}
async function openSession2(runtime, model, options) {
  const settings = { logSeverityLevel: 3, ...options };
  return typeof model === "string" ? runtime.InferenceSession.create(model, settings) : runtime.InferenceSession.create(model, settings);
}

// src/engines/engine.ts
function matrix(rows, cols, data = new Float32Array(rows * cols)) {
  if (data.length !== rows * cols) throw new RangeError(`${data.length} values cannot be a ${rows} x ${cols} matrix`);
  return { rows, cols, data };
}
function rowsOf(a, begin, end) {
  return { rows: end - begin, cols: a.cols, data: a.data.subarray(begin * a.cols, end * a.cols) };
}
function productShape(a, b, transpose = {}) {
  const [rows, inner] = transpose.a ? [a.cols, a.rows] : [a.rows, a.cols];
  const [innerB, cols] = transpose.b ? [b.cols, b.rows] : [b.rows, b.cols];
  if (inner !== innerB) throw new RangeError(`inner sizes ${inner} and ${innerB} of a product differ`);
  return { rows, inner, cols };
}

// src/engines/accumulate.ts
var CHUNK_ROWS = 512;
async function accumulate(multiply, a, b) {
  if (a.rows !== b.rows) throw new RangeError(`${a.rows} and ${b.rows} rows of a Gram matrix differ`);
  const sum = new Float64Array(a.cols * b.cols);
  for (let begin = 0; begin < a.rows; begin += CHUNK_ROWS) {
    const end = Math.min(begin + CHUNK_ROWS, a.rows);
    const part = (await multiply(rowsOf(a, begin, end), rowsOf(b, begin, end), { a: true })).data;
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i] + part[i];
  }
  return sum;
}
function symmetrize(a, n) {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const mean = (a[i * n + j] + a[j * n + i]) / 2;
      a[i * n + j] = mean;
      a[j * n + i] = mean;
    }
  }
  return a;
}

// src/engines/onnxruntime/graph-bytes.ts
function varint(value) {
  const bytes = [];
  while (value > 127) {
    bytes.push(value & 127 | 128);
    value >>>= 7;
  }
  return [...bytes, value];
}
var integer = (field, value) => [...varint(field << 3), ...varint(value)];
var message = (field, content) => [
  ...varint(field << 3 | 2),
  ...varint(content.length),
  ...content
];
var text = (field, value) => message(field, [...new TextEncoder().encode(value)]);
var FLOAT = 1;
var INT_ATTRIBUTE = 2;
function valueInfo([name, ...dimensions]) {
  const shape = dimensions.flatMap((d) => message(1, text(2, d)));
  const tensorType = [...integer(1, FLOAT), ...message(2, shape)];
  return [...text(1, name), ...message(2, message(1, tensorType))];
}
function nodeBytes({ operator, inputs, output, flags = {} }) {
  const attributes = Object.entries(flags).map(([name, value]) => [
    ...text(1, name),
    ...integer(3, value ? 1 : 0),
    ...integer(20, INT_ATTRIBUTE)
  ]);
  return [
    ...inputs.flatMap((name) => text(1, name)),
    ...text(2, output),
    ...text(4, operator),
    ...attributes.flatMap((attribute) => message(5, attribute))
  ];
}
function modelBytes(inputs, outputs, nodes) {
  const graph = [
    ...nodes.flatMap((node) => message(1, nodeBytes(node))),
    ...text(2, "graph"),
    ...inputs.flatMap((value) => message(11, valueInfo(value))),
    ...outputs.flatMap((value) => message(12, valueInfo(value)))
  ];
  const opset = [...text(1, ""), ...integer(2, 13)];
  return Uint8Array.from([...integer(1, 8), ...message(7, graph), ...message(8, opset)]);
}

// src/engines/onnxruntime/product-model.ts
function productModel(transposeA, transposeB) {
  return modelBytes(
    [
      transposeA ? ["A", "inner", "rows"] : ["A", "rows", "inner"],
      transposeB ? ["B", "cols", "inner"] : ["B", "inner", "cols"]
    ],
    [["C", "rows", "cols"]],
    [{ operator: "Gemm", inputs: ["A", "B"], output: "C", flags: { transA: transposeA, transB: transposeB } }]
  );
}

// src/engines/onnxruntime/engine.ts
async function createOnnxRuntimeEngine(threads) {
  const runtime = await loadRuntime("the engine onnxruntime");
  const sessions = /* @__PURE__ */ new Map();
  function session(transpose) {
    const key = (transpose.a ? 1 : 0) + (transpose.b ? 2 : 0);
    let found = sessions.get(key);
    if (found === void 0) {
      found = openSession2(runtime, productModel(transpose.a ?? false, transpose.b ?? false), {
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        // A product's result is handed to the caller: an arena would only keep a second copy of the largest one.
        enableCpuMemArena: false,
        extra: { session: { intra_op: { allow_spinning: "0" } } }
      });
      sessions.set(key, found);
    }
    return found;
  }
  const tensor = (a) => new runtime.Tensor("float32", a.data, [a.rows, a.cols]);
  async function multiply(a, b, transpose = {}) {
    const { rows, inner, cols } = productShape(a, b, transpose);
    if (rows === 0 || cols === 0 || inner === 0) return matrix(rows, cols);
    const running = await session(transpose);
    const output = await running.run({ A: tensor(a), B: tensor(b) });
    const data = output["C"]?.data;
    if (!(data instanceof Float32Array)) throw new InfrastructureError("compute_failed", "the product gave no floats");
    return matrix(rows, cols, data);
  }
  return {
    name: "onnxruntime",
    device: "cpu",
    onGpu: false,
    threads: threads === 0 ? availableParallelism() : threads,
    multiply,
    crossGram: (a, b) => accumulate(multiply, a, b),
    gram: async (a) => symmetrize(await accumulate(multiply, a, a), a.cols),
    hold: (a) => ({ ...a, dispose: () => void 0 }),
    async dispose() {
      const open = [...sessions.values()];
      sessions.clear();
      for (const each of open) await (await each).release();
    }
  };
}

// src/engines/onnxruntime/index.ts
var onnxruntime = {
  processor: "cpu",
  automatic: false,
  installed: () => true,
  create: ({ threads }) => createOnnxRuntimeEngine(threads)
};

// src/engines/tensorflow/load.ts
import { createRequire } from "node:module";
import { availableParallelism as availableParallelism2 } from "node:os";
import { pathToFileURL } from "node:url";

// src/engines/tensorflow/engine.ts
function tensorflowEngine(tf, { gpu, threads }) {
  const held = /* @__PURE__ */ new Map();
  const upload = (a) => tf.tensor2d(a.data, [a.rows, a.cols]);
  async function multiply(a, b, transpose = {}) {
    const { rows, inner, cols } = productShape(a, b, transpose);
    if (rows === 0 || cols === 0 || inner === 0) return matrix(rows, cols);
    const product2 = tf.tidy(
      () => tf.matMul(
        held.get(a) ?? upload(a),
        held.get(b) ?? upload(b),
        transpose.a ?? false,
        transpose.b ?? false
      )
    );
    try {
      return matrix(rows, cols, await product2.data());
    } finally {
      product2.dispose();
    }
  }
  return {
    name: "tensorflow",
    device: gpu ? "tensorflow gpu" : "tensorflow cpu",
    onGpu: gpu,
    threads,
    multiply,
    crossGram: (a, b) => accumulate(multiply, a, b),
    gram: async (a) => symmetrize(await accumulate(multiply, a, a), a.cols),
    hold(a) {
      const resident = {
        rows: a.rows,
        cols: a.cols,
        dispose() {
          held.get(resident)?.dispose();
          held.delete(resident);
        }
      };
      held.set(resident, upload(a));
      return resident;
    },
    dispose() {
      for (const tensor of held.values()) tensor.dispose();
      held.clear();
      return Promise.resolve();
    }
  };
}

// src/engines/tensorflow/load.ts
var PACKAGE = "@tensorflow/tfjs-node-gpu";
function tensorflowInstalled() {
  try {
    createRequire(import.meta.url).resolve(PACKAGE);
    return true;
  } catch {
    return false;
  }
}
async function loadTensorflowEngine(path) {
  process.env["NVIDIA_TF32_OVERRIDE"] ??= "0";
  let tf;
  try {
    const loaded = await (path === void 0 ? import(PACKAGE) : import(pathToFileURL(path).href));
    tf = loaded.default ?? loaded;
    await tf.ready();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split("\n")[0] ?? "" : String(cause);
    throw new OwnFaultError(
      "unavailable",
      `the engine tensorflow needs the package ${PACKAGE}, which did not load: ${why}`,
      { cause }
    );
  }
  const { isUsingGpuDevice: gpu = false } = tf.backend();
  return tensorflowEngine(tf, { gpu, threads: availableParallelism2() });
}

// src/engines/tensorflow/index.ts
var tensorflow = {
  processor: "either",
  automatic: true,
  installed: tensorflowInstalled,
  create: () => loadTensorflowEngine()
};

// src/engines/webgpu/models.ts
function copyModel() {
  return modelBytes(
    [["A", "rows", "cols"]],
    [["B", "rows", "cols"]],
    [{ operator: "Identity", inputs: ["A"], output: "B" }]
  );
}
function deviceProductModel(transposeA, transposeB) {
  const turned = transposeB ? [{ operator: "Transpose", inputs: ["B"], output: "turned" }] : [];
  return modelBytes(
    [
      transposeA ? ["A", "inner", "rows"] : ["A", "rows", "inner"],
      transposeB ? ["B", "cols", "inner"] : ["B", "inner", "cols"]
    ],
    [["C", "rows", "cols"]],
    [
      ...turned,
      { operator: "Gemm", inputs: ["A", transposeB ? "turned" : "B"], output: "C", flags: { transA: transposeA } }
    ]
  );
}
var A = ["A", "inner", "rows"];
var B = ["B", "inner", "cols"];
var PAIR = [
  ["sum", "rows", "cols"],
  ["rest", "rows", "cols"]
];
var operation = (operator, a, b, output) => ({
  operator,
  inputs: [a, b],
  output
});
var product = (output) => ({ operator: "Gemm", inputs: ["A", "B"], output, flags: { transA: true } });
function beginSumModel() {
  return modelBytes([A, B], PAIR, [product("sum"), operation("Sub", "sum", "sum", "rest")]);
}
function addToSumModel() {
  const inputs = [A, B, ["high", "rows", "cols"], ["low", "rows", "cols"]];
  return modelBytes(inputs, PAIR, [
    product("part"),
    operation("Add", "high", "part", "sum"),
    operation("Sub", "sum", "high", "partKept"),
    operation("Sub", "sum", "partKept", "highKept"),
    operation("Sub", "part", "partKept", "partLost"),
    operation("Sub", "high", "highKept", "highLost"),
    operation("Add", "partLost", "highLost", "lost"),
    operation("Add", "low", "lost", "rest")
  ]);
}

// src/engines/webgpu/placement.ts
var CALL_SECONDS = 1e-3;
var SENT_BYTES_PER_SECOND = 23e8;
var RECEIVED_BYTES_PER_SECOND = 13e8;
var DEVICE_FLOPS_PER_SECOND = 1e13;
var THREAD_FLOPS_PER_SECOND = 75e9;
var WORTH = 0.5;
var expectedFaster = (threads) => ({ flops, sent, received }) => {
  const transfers = sent / SENT_BYTES_PER_SECOND + received / RECEIVED_BYTES_PER_SECOND;
  const device = CALL_SECONDS + transfers + flops / DEVICE_FLOPS_PER_SECOND;
  return device < WORTH * flops / (threads * THREAD_FLOPS_PER_SECOND);
};

// src/engines/webgpu/sessions.ts
async function loadWebgpu() {
  const runtime = await loadRuntime("the engine webgpu");
  if (!runtime.listSupportedBackends().some(({ name }) => name === "webgpu")) {
    throw new OwnFaultError("unavailable", `onnxruntime-node has no WebGPU on ${process.platform} ${process.arch}`);
  }
  return runtime;
}
async function openOnGpu(runtime, model, results) {
  try {
    return await openSession2(runtime, model, {
      executionProviders: ["webgpu"],
      preferredOutputLocation: results,
      // Nothing to optimize; a graph of one copy would be optimized away.
      graphOptimizationLevel: "disabled"
    });
  } catch (cause) {
    const message2 = cause instanceof Error ? cause.message : String(cause);
    const why = /adapter/i.test(message2) ? "there is none with a working driver" : message2.split("\n")[0] ?? "";
    throw new OwnFaultError(
      "unavailable",
      `the engine webgpu needs a GPU that Vulkan, Metal or Direct3D 12 reaches: ${why}`,
      {
        cause
      }
    );
  }
}

// src/engines/webgpu/engine.ts
var CHUNK_ROWS2 = 512;
async function createWebgpuEngine(threads, placement) {
  const runtime = await loadWebgpu();
  const copies = await openOnGpu(runtime, copyModel(), "gpu-buffer");
  const host2 = await createOnnxRuntimeEngine(threads);
  const worthwhile = placement ?? expectedFaster(host2.threads);
  const sessions = /* @__PURE__ */ new Map();
  const held = /* @__PURE__ */ new Set();
  function session(key, make) {
    const found = sessions.get(key) ?? make();
    sessions.set(key, found);
    return found;
  }
  const tensor = (a) => new runtime.Tensor("float32", a.data, [a.rows, a.cols]);
  const holding = (a) => held.has(a) ? a : null;
  const onHost = (a) => holding(a)?.matrix ?? a;
  async function upload(a) {
    const { B: B2 } = await copies.run({ A: tensor(a) });
    if (B2 === void 0) throw new InfrastructureError("compute_failed", "the device gave no buffer");
    return B2;
  }
  function onDevice(a) {
    const one = holding(a);
    return one === null ? tensor(a) : one.tensor ??= upload(one.matrix);
  }
  const toSend = (a) => holding(a) === null ? 4 * a.rows * a.cols : 0;
  async function multiply(a, b, transpose = {}) {
    const { rows, inner, cols } = productShape(a, b, transpose);
    const cost = { flops: 2 * rows * inner * cols, sent: toSend(a) + toSend(b), received: 4 * rows * cols };
    if (cost.flops === 0) return matrix(rows, cols);
    if (!worthwhile(cost)) return host2.multiply(onHost(a), onHost(b), transpose);
    const [ta, tb] = [transpose.a ?? false, transpose.b ?? false];
    const running = await session(
      `${String(ta)} ${String(tb)}`,
      () => openOnGpu(runtime, deviceProductModel(ta, tb), "cpu")
    );
    return matrix(rows, cols, floats((await running.run({ A: await onDevice(a), B: await onDevice(b) }))["C"]));
  }
  async function crossGram(a, b) {
    if (a.rows !== b.rows) throw new RangeError(`${a.rows} and ${b.rows} rows of a Gram matrix differ`);
    const cost = {
      flops: 2 * a.cols * a.rows * b.cols,
      sent: toSend(a) + (a === b ? 0 : toSend(b)),
      received: 8 * a.cols * b.cols
    };
    if (cost.flops === 0 || !worthwhile(cost)) return host2.crossGram(a, b);
    let pair = null;
    for (let begin = 0; begin < a.rows; begin += CHUNK_ROWS2) {
      const end = Math.min(begin + CHUNK_ROWS2, a.rows);
      const A2 = tensor(rowsOf(a, begin, end));
      const feeds = { A: A2, B: a === b ? A2 : tensor(rowsOf(b, begin, end)) };
      const results = end === a.rows ? "cpu" : "gpu-buffer";
      const adding = pair === null ? await session(`begin ${results}`, () => openOnGpu(runtime, beginSumModel(), results)) : await session(`add ${results}`, () => openOnGpu(runtime, addToSumModel(), results));
      const { sum, rest } = await adding.run({ ...feeds, ...pair ?? {} });
      pair?.high.dispose();
      pair?.low.dispose();
      if (sum === void 0 || rest === void 0)
        throw new InfrastructureError("compute_failed", "the sum is missing");
      pair = { high: sum, low: rest };
    }
    const [high, low] = [floats(pair?.high), floats(pair?.low)];
    const total = new Float64Array(high.length);
    for (let i = 0; i < total.length; i++) total[i] = high[i] + low[i];
    return total;
  }
  return {
    name: "webgpu",
    device: "webgpu",
    onGpu: true,
    threads: host2.threads,
    multiply,
    crossGram,
    gram: async (a) => symmetrize(await crossGram(a, a), a.cols),
    hold(a) {
      const one = {
        rows: a.rows,
        cols: a.cols,
        matrix: a,
        tensor: null,
        dispose() {
          held.delete(one);
          void one.tensor?.then((sent) => sent.dispose()).catch(() => void 0);
          one.tensor = null;
        }
      };
      held.add(one);
      return one;
    },
    async dispose() {
      for (const one of [...held]) one.dispose();
      const open = [...sessions.values()];
      sessions.clear();
      await host2.dispose();
      for (const each of open) await (await each).release();
      await copies.release();
    }
  };
}
function floats(tensor) {
  const data = tensor?.data;
  if (!(data instanceof Float32Array)) throw new InfrastructureError("compute_failed", "the device gave no floats");
  return data;
}

// src/engines/webgpu/index.ts
var webgpu = {
  processor: "gpu",
  automatic: false,
  installed: () => true,
  create: ({ threads }) => createWebgpuEngine(threads)
};

// src/engines/index.ts
var ENGINES = { onnxruntime, tensorflow, webgpu };
var engineNames = Object.keys(ENGINES);
var ENGINE_CHOICES = ["auto", ...engineNames];
var automatic = Object.values(ENGINES).filter((engine) => engine.automatic);

// src/models/coding/weight-codings.ts
var WEIGHT_CODINGS = {
  float32: { meaning: "as they are", coder: null, weighted: false, integers: false },
  float16: { meaning: "half the bits", coder: "float16", weighted: false, integers: false },
  int8: { meaning: "a scale for every output channel", coder: "int8", weighted: true, integers: false },
  static_int8: {
    meaning: "as int8, and layers also compute with 8-bit integers, inputs included, with ranges from the calibration data (QuantizeLinear and DequantizeLinear); faster where the processor has integer kernels",
    ...{ coder: "int8", weighted: true, integers: true }
  },
  codebook: {
    meaning: "k-means",
    ...{ coder: "codebook", weighted: true, integers: false },
    reported: (bits) => `codebook of ${String(bits)} bits`
  }
};
var weightCodings = Object.keys(WEIGHT_CODINGS);
var codingOf = (name) => WEIGHT_CODINGS[name];
var PLAIN_CODING = "float32";

// src/jobs/targets.ts
var ratio = { minimum: 1, maximum: 1e3, labels: false, good: "more" };
var TARGETS = {
  parameter_ratio: { ...ratio, cost: "parameters", measured: ({ parameters }) => parameters.ratio },
  mac_ratio: { ...ratio, cost: "macs", measured: ({ macs }) => macs.ratio },
  nonzero_ratio: { ...ratio, cost: "nonzeros", measured: (of) => (of.nonzeros ?? of.parameters).ratio },
  speedup: { ...ratio, maximum: 100, cost: null, measured: ({ speedup }) => speedup },
  max_accuracy_drop: {
    ...{ minimum: 0, maximum: 1, cost: null, labels: true, good: "less" },
    measured: ({ accuracy }) => accuracy?.drop ?? null
  }
};
var targetNames = Object.keys(TARGETS);
var targetOf = (name) => TARGETS[name];

// src/jobs/spec.ts
var object = (properties, options = {}) => Type6.Object(properties, { additionalProperties: false, ...options });
var SourceSchema = Type6.Union(
  [
    object({ upload: Type6.String({ minLength: 1, maxLength: 100, description: "id of an upload" }) }),
    object({
      url: Type6.String({
        maxLength: 2048,
        pattern: "^https?://",
        description: "https; http only for URL_ALLOWED_HOSTS"
      }),
      sha256: Type6.String({ pattern: "^[0-9a-f]{64}$" })
    })
  ],
  { $id: "Source" }
);
var TargetSchema = Type6.Unsafe(
  Type6.Union(
    targetNames.map((name) => {
      const { minimum, maximum } = targetOf(name);
      return object({ [name]: Type6.Number({ minimum, maximum }) });
    }),
    { $id: "Target" }
  )
);
var MAX_TARGETS = 8;
var ConstraintsSchema = object({
  min_parameter_ratio: Type6.Optional(Type6.Number({ minimum: 1 })),
  min_mac_ratio: Type6.Optional(Type6.Number({ minimum: 1 })),
  min_speedup: Type6.Optional(Type6.Number({ minimum: 0 })),
  min_bytes_ratio: Type6.Optional(
    Type6.Number({ minimum: 0, description: "size of the file that was sent over that of the one that comes back" })
  ),
  max_accuracy_drop: Type6.Optional(Type6.Number({ minimum: -1, maximum: 1 })),
  min_agreement: Type6.Optional(
    Type6.Number({
      minimum: 0,
      maximum: 1,
      description: "share of samples with the same top-1 answer; needs an output that holds classes, no labels"
    })
  ),
  max_relative_error: Type6.Optional(
    Type6.Number({ minimum: 0, description: "of the outputs, against those of the original; needs no labels" })
  )
});
var shapesInWords = lowRankShapes.map((shape) => `${shape}: ${LOW_RANK_SHAPES[shape].convolutions}`).join("; ");
var patternsInWords = SPARSE_PATTERNS.map((pattern) => `${pattern}: ${PATTERN[pattern].group}`).join("; ");
var withZeros = SPARSE_PATTERNS.filter((pattern) => PATTERN[pattern].storesZeros("Conv"));
var codingsInWords = weightCodings.map((coding) => `${coding}: ${codingOf(coding).meaning}`).join("; ");
var MethodSchema = object({
  components: Type6.Array(Type6.Union([Type6.Literal("low_rank"), Type6.Literal("sparse")]), {
    minItems: 1,
    maxItems: 2,
    uniqueItems: true,
    default: ["low_rank", "sparse"]
  }),
  pattern: oneOf(SPARSE_PATTERNS, {
    default: PLAIN_PATTERN,
    description: `what the sparse part keeps or drops as a whole. ${patternsInWords}. Stored as dense layers with zeros, not faster and no smaller as parameters, are ${withZeros.join(" and ")}: ask for them with nonzero_ratio`
  }),
  low_rank_shapes: Type6.Array(oneOf(lowRankShapes), {
    minItems: 1,
    uniqueItems: true,
    default: lowRankShapes,
    description: `convolutions that the low-rank part may be made of, chosen for every layer. ${shapesInWords}`
  }),
  reconstruction: Type6.Union([Type6.Literal("after_activation"), Type6.Literal("linear")], {
    default: "after_activation"
  }),
  error_metric: Type6.Union([Type6.Literal("responses"), Type6.Literal("outputs")], {
    default: "responses",
    description: "what a layer may lose: responses, every channel counts alike; outputs, errors are weighed by what they do to the outputs of the network, estimated from weights and activations. outputs keeps more accuracy at high ratios of networks without residual branches, and takes more work"
  }),
  inputs: Type6.Union([Type6.Literal("symmetric"), Type6.Literal("asymmetric"), Type6.Literal("refit")], {
    default: "refit",
    description: "symmetric: every layer is fitted on the inputs of the original network; refit: the same, then each is solved again in sequence on the inputs of the compressed network, with the structure that was found; asymmetric: structure included"
  }),
  distillation_passes: Type6.Union([Type6.Integer({ minimum: 0, maximum: 1e3 }), Type6.Null()], {
    default: null,
    description: "after the layers were fitted one by one, all are changed together so that outputs and inner feature maps come nearer to the original network on the calibration data, without labels, in so many passes over it. null: as many as a bound on the work allows, none where the outputs are near enough already; 0: none"
  }),
  weights: object(
    {
      coding: oneOf(weightCodings, { default: PLAIN_CODING }),
      bits: Type6.Union([Type6.Literal(4), Type6.Literal(8)], {
        default: 4,
        description: "of a weight in a codebook: 4, a table of 256 pairs of neighbours; 8, a table of 256 numbers"
      })
    },
    {
      default: { coding: PLAIN_CODING, bits: 4 },
      description: `how the file keeps the weights of all layers. ${codingsInWords}. Codings without integer layers are decoded once, when a runtime loads the model: size changes, speed does not`
    }
  ),
  samples: Type6.Integer({ minimum: 64, maximum: 1e6, default: 5e3 }),
  max_iterations: Type6.Integer({ minimum: 0, maximum: 1e3, default: 50 }),
  layers: object(
    {
      include: Type6.Array(Type6.String({ maxLength: 500 }), { maxItems: 1e4, default: [] }),
      exclude: Type6.Array(Type6.String({ maxLength: 500 }), { maxItems: 1e4, default: [] })
    },
    { default: { include: [], exclude: [] } }
  ),
  seed: Type6.Integer({ minimum: 0, maximum: 4294967295, default: 1 })
});
var BenchmarkSchema = object({
  batch_sizes: Type6.Array(Type6.Integer({ minimum: 1, maximum: 1024 }), {
    minItems: 1,
    maxItems: 8,
    uniqueItems: true,
    default: [1, 32]
  }),
  threads: Type6.Union([Type6.Integer({ minimum: 1, maximum: 256 }), Type6.Null()], { default: null })
});
var WebhookSchema = object({
  url: Type6.String({ maxLength: 2048, pattern: "^https?://", description: "https; http only for URL_ALLOWED_HOSTS" })
});
var CLASS_PATTERN = "^[a-z0-9][a-z0-9_-]{0,31}$";
var ResourcesSchema = object({
  engine: Type6.Optional(oneOf(engineNames)),
  device_memory_bytes: Type6.Optional(
    Type6.Integer({ minimum: 1, maximum: 2 ** 50, description: "at least so much memory of the accelerator" })
  ),
  class: Type6.Optional(Type6.String({ pattern: CLASS_PATTERN, description: "WORKER_CLASS of the workers" }))
});
var PRIORITIES = ["low", "normal", "high"];
var SpecSchema = object(
  {
    model: SourceSchema,
    calibration: SourceSchema,
    evaluation: Type6.Optional(Type6.Union([SourceSchema, Type6.Null()])),
    target: TargetSchema,
    targets: Type6.Optional(
      Type6.Array(TargetSchema, {
        minItems: 1,
        maxItems: MAX_TARGETS,
        uniqueItems: true,
        description: "instead of `target`: one point of the trade-off curve for each, all in one job; `target` is then the first of them"
      })
    ),
    constraints: Type6.Object(ConstraintsSchema.properties, {
      $id: "Constraints",
      additionalProperties: false,
      default: {}
    }),
    method: Type6.Object(MethodSchema.properties, { $id: "Method", additionalProperties: false, default: {} }),
    benchmark: Type6.Object(BenchmarkSchema.properties, { $id: "Benchmark", additionalProperties: false, default: {} }),
    resources: Type6.Optional(
      Type6.Object(ResourcesSchema.properties, {
        $id: "Resources",
        additionalProperties: false,
        description: "only workers that have all of this run the job; it waits (`queue.reason` `no_such_worker`) while there is none"
      })
    ),
    priority: Type6.Union([Type6.Literal("low"), Type6.Literal("normal"), Type6.Literal("high")], { default: "normal" }),
    labels: Type6.Record(Type6.String({ pattern: "^[A-Za-z0-9_.-]{1,64}$" }), Type6.String({ maxLength: 256 }), {
      // Not `false`: filling in defaults stumbles over that in a record.
      additionalProperties: Type6.Never(),
      maxProperties: 32,
      default: {}
    }),
    webhook: Type6.Optional(
      Type6.Union([WebhookSchema, Type6.Null()], { description: "told when the job has ended; see the webhooks" })
    ),
    deadline_seconds: Type6.Union([Type6.Integer({ minimum: 1, maximum: 2592e3 }), Type6.Null()], {
      default: null,
      description: "a job that has not ended so long after it was accepted fails, whether it runs or waits"
    })
  },
  { $id: "Spec" }
);
var SpecRequestSchema = object(
  { ...SpecSchema.properties, target: Type6.Optional(TargetSchema) },
  { $id: "SpecRequest" }
);

// src/jobs/results.ts
var nullable = (schema) => Type7.Union([schema, Type7.Null()]);
var Quantiles = Type7.Object({ p50: Type7.Number(), p95: Type7.Number() }, { $id: "Quantiles" });
var BeforeAfter = Type7.Object(
  { before: Type7.Number(), after: Type7.Number(), ratio: Type7.Number() },
  { $id: "BeforeAfter" }
);
var LayerRowSchema = Type7.Object(
  {
    index: Type7.Integer(),
    name: Type7.String(),
    op: Type7.String(),
    shape: Type7.Array(Type7.Integer(), { description: "weights: [m, channels, ...kernel]" }),
    status: Type7.Union([
      Type7.Literal("waiting"),
      Type7.Literal("running"),
      Type7.Literal("done"),
      Type7.Literal("failed")
    ]),
    decision: nullable(Type7.Union([Type7.Literal("compressed"), Type7.Literal("dense")])),
    reason: nullable(Type7.String()),
    low_rank_shape: nullable(
      oneOf(lowRankShapes, { description: `convolutions of the low-rank part. ${shapesInWords}` })
    ),
    rank: nullable(Type7.Integer({ description: "channels in front of the last convolution of the low-rank part" })),
    inner_rank: nullable(
      Type7.Integer({ description: "channels behind the first convolution, where the shape has two widths" })
    ),
    pattern: Type7.Optional(
      nullable(
        Type7.String({
          description: `what a group of the sparse part is: ${SPARSE_PATTERNS.join(", ")}`
        })
      )
    ),
    groups: nullable(Type7.Integer({ description: "kept groups of the sparse part" })),
    groups_total: nullable(Type7.Integer()),
    parameters: BeforeAfter,
    nonzeros: Type7.Optional(
      Type7.Object(BeforeAfter.properties, {
        description: "of the parameters, all but the zeros that the pattern makes and the file holds"
      })
    ),
    macs: BeforeAfter,
    relative_error: nullable(
      Type7.Number({
        description: "squared, of the response after the activation, on the calibration samples, before any distillation"
      })
    ),
    relative_error_linear: nullable(
      Type7.Number({
        description: "the same for the linear fit the solve started from, on the inputs of the original network"
      })
    ),
    iterations: nullable(Type7.Integer()),
    primal_residual: nullable(Type7.Number()),
    dual_residual: nullable(Type7.Number()),
    note: nullable(Type7.String({ description: "how the activation step was solved" })),
    latency_ms: nullable(Type7.Object({ before: Type7.Number(), after: Type7.Number() })),
    worker_id: nullable(Type7.String()),
    attempt: nullable(Type7.Integer()),
    seconds: nullable(Type7.Number())
  },
  { $id: "LayerRow" }
);
var CheckSchema = Type7.Object(
  {
    name: Type7.String(),
    required: Type7.Number(),
    measured: nullable(Type7.Number()),
    passed: Type7.Boolean()
  },
  { $id: "Check" }
);
var WarningSchema = Type7.Object(
  {
    code: Type7.Union([Type7.Literal("outputs_moved"), Type7.Literal("few_samples"), Type7.Literal("measured_on_fitted")], {
      description: "outputs_moved: fewer than 90 % of the answers agree, or, of outputs without classes, the relative error is above 0.25; few_samples: fewer than 50 were measured; measured_on_fitted: too few to hold out any"
    }),
    cause: Type7.String(),
    next: Type7.String({ description: "what can be done" })
  },
  { $id: "Warning" }
);
var VerdictSchema = Type7.Object(
  {
    passed: Type7.Boolean(),
    checks: Type7.Array(CheckSchema),
    warnings: Type7.Optional(
      Type7.Array(WarningSchema, { description: "what to know besides, also where everything is passed" })
    )
  },
  { $id: "Verdict" }
);
var LatencySchema = Type7.Array(
  Type7.Object(
    {
      batch: Type7.Integer(),
      before_ms: Quantiles,
      after_ms: Quantiles,
      speedup: Type7.Number(),
      speedup_ci95: Type7.Array(Type7.Number(), { minItems: 2, maxItems: 2 }),
      runs: Type7.Integer()
    },
    { $id: "Latency" }
  )
);
var AccuracySchema = nullable(
  Type7.Object(
    { before: Type7.Number(), after: Type7.Number(), drop: Type7.Number(), samples: Type7.Integer() },
    { $id: "Accuracy" }
  )
);
var FidelitySchema = Type7.Object(
  {
    top1_agreement: nullable(Type7.Number()),
    relative_error: Type7.Number(),
    samples: Type7.Integer()
  },
  { $id: "Fidelity" }
);
var DistillationSchema = Type7.Object(
  {
    passes: Type7.Integer({ description: "over the samples" }),
    samples: Type7.Integer({ description: "calibration samples that the weights were changed on" }),
    held_out: Type7.Integer({ description: "calibration samples that decide whether the result is kept" }),
    relative_error_before: Type7.Number({ description: "of the outputs, on the held-out samples" }),
    relative_error_after: Type7.Number(),
    kept: Type7.Boolean()
  },
  {
    $id: "Distillation",
    description: "where all layers were changed together at the end, see `method.distillation_passes`"
  }
);
var MeasuredOnSchema = Type7.Object(
  {
    data: Type7.Union([Type7.Literal("evaluation"), Type7.Literal("held_out"), Type7.Literal("calibration")]),
    samples: Type7.Integer()
  },
  {
    description: "what accuracy, agreement and error were measured on. evaluation: the evaluation data; held_out: calibration samples that nothing was fitted to; calibration: the samples that layers were fitted on, too few to hold out any: new data fares worse"
  }
);
var MetricsSchema = Type7.Object(
  {
    parameters: BeforeAfter,
    nonzeros: Type7.Optional(
      Type7.Object(BeforeAfter.properties, {
        description: "of the parameters, all but the zeros that the pattern makes"
      })
    ),
    macs: BeforeAfter,
    bytes: BeforeAfter,
    latency: LatencySchema,
    speedup: Type7.Number(),
    accuracy: AccuracySchema,
    fidelity: FidelitySchema,
    measured_on: Type7.Optional(MeasuredOnSchema),
    coding: Type7.Optional(
      Type7.Object(
        {
          coding: Type7.String(),
          bytes: BeforeAfter,
          integer_layers: Type7.Optional(
            Type7.Object(
              { integer: Type7.Integer(), all: Type7.Integer() },
              { description: "with static_int8: layers of the file that compute with 8-bit integers, of all it has" }
            )
          ),
          uncoded: Type7.Object({
            bytes: BeforeAfter,
            latency: LatencySchema,
            speedup: Type7.Number(),
            accuracy: AccuracySchema,
            fidelity: FidelitySchema
          })
        },
        {
          description: "where `method.weights` codes the weights. bytes: the compressed model before and after coding; uncoded: what was measured, beside the others, of the compressed model with float32 weights, against the original"
        }
      )
    ),
    distillation: Type7.Optional(DistillationSchema),
    device: Type7.Object({ engine: Type7.String(), name: Type7.String(), threads: Type7.Integer() }),
    seconds: Type7.Object({ queued: Type7.Number(), running: Type7.Number(), device: Type7.Number() }),
    memory: Type7.Optional(
      Type7.Object({
        peak_bytes: Type7.Integer({ description: "the most that the compute process held, in any step" }),
        limit_bytes: Type7.Integer({ description: "LAYER_MEMORY_MB of the worker that measured" })
      })
    )
  },
  { $id: "Metrics" }
);
var TaskErrorSchema = Type7.Object(
  {
    code: Type7.String(),
    detail: Type7.String(),
    origin: Type7.Union([Type7.Literal("input"), Type7.Literal("infrastructure"), Type7.Literal("bug")], {
      description: "whose fault it is: of what was sent, of the machines of the service, or of its code"
    }),
    layer: nullable(Type7.String())
  },
  { $id: "TaskError" }
);
var PointSchema = Type7.Object(
  {
    point: Type7.Integer({ description: "the number of the target, from 1" }),
    target: TargetSchema,
    model: nullable(Type7.String({ description: "name of the artifact, once it is there" })),
    metrics: nullable(MetricsSchema),
    verdict: nullable(VerdictSchema),
    error: nullable(TaskErrorSchema)
  },
  { $id: "Point" }
);

// src/api/jobs/schema.ts
var PlaceSchema = Type8.Object(
  {
    position: Type8.Integer({ description: "1 is next" }),
    reason: Type8.Union([
      Type8.Literal("waiting_for_worker"),
      Type8.Literal("no_such_worker"),
      Type8.Literal("team_limit"),
      Type8.Literal("higher_priority")
    ]),
    expected_start_seconds: Nullable(Type8.Number())
  },
  { $id: "QueuePlace" }
);
var ArtifactSchema = Type8.Object(
  {
    name: Type8.String(),
    bytes: Type8.Integer(),
    sha256: Type8.String(),
    content_type: Type8.String(),
    url: Type8.String({ description: "path to download from" }),
    expires_at: Time
  },
  { $id: "Artifact" }
);
var InputSchema = Type8.Object({ filename: Type8.String(), bytes: Type8.Integer(), sha256: Type8.String() });
var StatusSchema = Type8.Enum([...JOB_STATUSES]);
var ProgressSchema = Type8.Object(
  {
    fraction: Type8.Number({ description: "0..1" }),
    layers_done: Type8.Integer(),
    layers_total: Type8.Integer(),
    eta_seconds: Nullable(Type8.Number())
  },
  { $id: "Progress" }
);
var JobSchema = Type8.Object(
  {
    id: Type8.String(),
    object: Type8.Literal("job"),
    status: StatusSchema,
    phase: Type8.Enum([...PHASES]),
    progress: ProgressSchema,
    queue: Nullable(PlaceSchema),
    spec: SpecSchema,
    inputs: Type8.Object(
      { model: InputSchema, calibration: InputSchema, evaluation: Nullable(InputSchema) },
      { description: "the files, as they were sent" }
    ),
    labels: Type8.Record(Type8.String(), Type8.String()),
    team_id: Type8.String(),
    created_at: Time,
    started_at: Nullable(Time),
    finished_at: Nullable(Time),
    metrics: Nullable(MetricsSchema),
    verdict: Nullable(VerdictSchema),
    points: Type8.Array(PointSchema, {
      description: "one for every target; `metrics` and `verdict` are those of the first that was reached"
    }),
    artifacts: Type8.Array(ArtifactSchema),
    error: Nullable(TaskErrorSchema),
    links: Type8.Object({
      self: Type8.String(),
      events: Type8.String(),
      layers: Type8.String(),
      artifacts: Type8.String(),
      cancel: Type8.String()
    })
  },
  { $id: "Job" }
);
var JobRowSchema = Type8.Object(
  {
    id: Type8.String(),
    object: Type8.Literal("job_row"),
    status: StatusSchema,
    phase: Type8.Enum([...PHASES]),
    progress: ProgressSchema,
    queue: Nullable(PlaceSchema),
    priority: Type8.Enum([...PRIORITIES]),
    labels: Type8.Record(Type8.String(), Type8.String()),
    team_id: Type8.String(),
    model: Type8.String({ description: "name of its file" }),
    targets: Type8.Array(TargetSchema),
    created_at: Time,
    updated_at: Type8.String({ format: "date-time", description: "when anything of it last changed" }),
    started_at: Nullable(Time),
    finished_at: Nullable(Time),
    verdict: Nullable(Type8.Object({ passed: Type8.Boolean() })),
    error: Nullable(Type8.Object({ code: Type8.String() }))
  },
  { $id: "JobRow", description: "what a list shows of a job" }
);
var presentPlace = (place) => ({
  position: place.position,
  reason: place.reason,
  expected_start_seconds: place.expectedStartSeconds
});
var presentArtifact = (jobId, artifact) => ({
  name: artifact.name,
  bytes: artifact.bytes,
  sha256: artifact.sha256,
  content_type: artifact.contentType,
  url: `/jobs/${jobId}/artifacts/${encodeURIComponent(artifact.name)}`,
  expires_at: artifact.expiresAt.toISOString()
});
var presentInput = ({ filename, bytes, sha256 }) => ({
  filename,
  bytes,
  sha256
});
function presentError(error) {
  const { code, origin, layer } = error;
  const detail = origin === "input" ? error.detail : new InfrastructureError(code, "").title;
  return { code, detail, origin, layer };
}
var notPlanned = { model: null, metrics: null, verdict: null, error: null };
var presentPoints = ({ points, spec }) => points?.map((point) => ({ ...point, error: point.error === null ? null : presentError(point.error) })) ?? targetsOf(spec).map((target, i) => ({ point: i + 1, target, ...notPlanned }));
var presentProgress = (progress) => ({
  fraction: progress.fraction,
  layers_done: progress.layersDone,
  layers_total: progress.layersTotal,
  eta_seconds: progress.etaSeconds
});
var presentRow = (job, place) => ({
  id: job.id,
  object: "job_row",
  status: job.status,
  phase: job.phase,
  progress: presentProgress(job.progress),
  queue: place === null ? null : presentPlace(place),
  priority: job.priority,
  labels: job.labels,
  team_id: job.teamId,
  model: job.model,
  targets: job.targets,
  created_at: job.createdAt.toISOString(),
  updated_at: job.updatedAt.toISOString(),
  started_at: job.startedAt?.toISOString() ?? null,
  finished_at: job.finishedAt?.toISOString() ?? null,
  verdict: job.passed === null ? null : { passed: job.passed },
  error: job.errorCode === null ? null : { code: job.errorCode }
});
function presentJob(job, place, artifacts) {
  const self = `/jobs/${job.id}`;
  return {
    id: job.id,
    object: "job",
    status: job.status,
    phase: job.phase,
    progress: presentProgress(job.progress),
    queue: place === null ? null : presentPlace(place),
    spec: job.spec,
    inputs: {
      model: presentInput(job.inputs.model),
      calibration: presentInput(job.inputs.calibration),
      evaluation: job.inputs.evaluation === null ? null : presentInput(job.inputs.evaluation)
    },
    labels: job.labels,
    team_id: job.teamId,
    created_at: job.createdAt.toISOString(),
    started_at: job.startedAt?.toISOString() ?? null,
    finished_at: job.finishedAt?.toISOString() ?? null,
    metrics: job.metrics,
    verdict: job.verdict,
    points: presentPoints(job),
    artifacts: artifacts.map((artifact) => presentArtifact(job.id, artifact)),
    error: job.error === null ? null : presentError(job.error),
    links: {
      self,
      events: `${self}/events`,
      layers: `${self}/layers`,
      artifacts: `${self}/artifacts`,
      cancel: `${self}/cancel`
    }
  };
}

// src/api/jobs/read.ts
var FINISHED = /* @__PURE__ */ new Set(["succeeded", "failed", "canceled"]);
var isFinished = (job) => FINISHED.has(job.status);
var placeOf = async (database, job) => job.status === "queued" ? database.jobs.place(job) : null;
async function viewJob(database, job, known) {
  const [place, artifacts] = await Promise.all([
    known === void 0 ? placeOf(database, job) : known,
    isFinished(job) ? database.artifacts.list(job.teamId, job.id) : []
  ]);
  return presentJob(job, place, artifacts ?? []);
}
function retryAfterSeconds(job, place) {
  if (isFinished(job)) return null;
  const distance = job.progress.etaSeconds ?? place?.expectedStartSeconds ?? (place?.position ?? 1) * 10;
  return Math.min(60, Math.max(1, Math.ceil(distance / 10)));
}

// src/api/jobs/list.ts
var Total = Type9.Optional(Type9.Integer({ description: "of all pages, where it was asked for" }));
var JobPage = Type9.Object({ ...PageOf(JobSchema, "").properties, total: Total }, { $id: "JobPage" });
var JobRowPage = Type9.Object({ ...PageOf(JobRowSchema, "").properties, total: Total }, { $id: "JobRowPage" });
var ListSchema = Type9.Union([JobPage, JobRowPage], {
  description: "whole jobs, or with `fields=short` rows"
});
async function readList(database, teamId, filter2, query) {
  const counted = query.total ? { total: await database.jobs.count(teamId, filter2) } : {};
  const next = (hasMore, last) => ({
    ...{ has_more: hasMore, next: hasMore ? last?.id ?? null : null, ...counted }
  });
  if (query.fields === "short") {
    const page3 = await database.jobs.rows(teamId, filter2);
    const places2 = await Promise.all(page3.data.map((job) => placeOf(database, job)));
    const data2 = page3.data.map((job, i) => presentRow(job, places2[i] ?? null));
    return { answer: { data: data2, ...next(page3.hasMore, page3.data.at(-1)) }, places: places2, page: page3 };
  }
  const page2 = await database.jobs.list(teamId, filter2);
  const places = await Promise.all(page2.data.map((job) => placeOf(database, job)));
  const data = await Promise.all(page2.data.map((job, i) => viewJob(database, job, places[i] ?? null)));
  return { answer: { data, ...next(page2.hasMore, page2.data.at(-1)) }, places, page: page2 };
}
var OF_A_LIST = ["ETag", "Cache-Control"];
var tagged = (reply, etag) => {
  reply.header("ETag", etag).header("Cache-Control", "private, no-cache").header("Vary", "Authorization");
  return reply;
};
var listJobs = async (app2, { deps }) => {
  const { database } = deps;
  const etags = listEtags(database.jobs);
  app2.get(
    "/jobs",
    {
      config: {
        scope: "jobs:read",
        doc: { parameters: LIST_PARAMETERS, headers: { 200: OF_A_LIST, 304: OF_A_LIST } }
      },
      schema: {
        operationId: "listJobs",
        tags: ["jobs"],
        summary: "Jobs, newest first",
        description: "Labels filter with `label.<key>=<value>`, as often as wanted: all of them must match. With `If-None-Match` a page of which no job changed, and no place in the queue, is 304.",
        querystring: Type9.Object(FilterSchema.properties, {
          additionalProperties: false,
          patternProperties: { "^label\\.": {} }
        }),
        headers: Type9.Object({
          "if-none-match": Type9.Optional(Type9.String({ description: "the last ETag: 304 when nothing changed" }))
        }),
        response: { 200: ListSchema, 304: Type9.Null({ description: "nothing changed" }) }
      }
    },
    async (request, reply) => {
      const teamId = teamOf(request);
      const { query } = request;
      const filter2 = readFilter(query);
      const { fields = "all", total } = query;
      const condition = request.headers["if-none-match"];
      if (condition !== void 0 && !total) {
        const etag2 = await etags.current(teamId, fields, filter2);
        if (etag2 !== null && matches(condition, etag2)) return tagged(reply, etag2).code(304).send(null);
      }
      const { answer: answer2, page: page2, places } = await readList(database, teamId, filter2, query);
      const counted = total ? `${fields} of ${String(answer2.total)}` : fields;
      const etag = etags.note({ teamId, fields: counted, filter: filter2 }, page2, places);
      if (matches(condition, etag)) return tagged(reply, etag).code(304).send(null);
      return tagged(reply, etag).code(200).send(answer2);
    }
  );
};

// src/api/plugins/actor.ts
function actorOf(request) {
  const { keyId, keyPrefix, teamId } = callerFrom(request);
  return { keyId, keyPrefix, teamId, requestId: request.id, address: request.ip };
}

// src/api/admin/jobs.ts
var params = Type10.Object({ id: Type10.String() });
var TEAM = { team: Type10.Optional(Type10.String({ description: "only this team's jobs" })) };
var adminJobs = async (app2, { deps }) => {
  const { database } = deps;
  app2.get(
    "/admin/jobs",
    {
      config: { scope: "admin", doc: { parameters: LIST_PARAMETERS } },
      schema: {
        operationId: "adminListJobs",
        tags: ["admin"],
        summary: "Jobs of all teams, or of one, newest first",
        description: "Filters as `GET /jobs`.",
        querystring: Type10.Object(
          { ...FilterSchema.properties, ...TEAM },
          { additionalProperties: false, patternProperties: { "^label\\.": {} } }
        ),
        response: { 200: ListSchema }
      }
    },
    async (request) => {
      const { team, ...query } = request.query;
      const { answer: answer2 } = await readList(database, team ?? null, readFilter(query), query);
      return answer2;
    }
  );
  app2.get(
    "/admin/jobs/:id",
    {
      config: { scope: "admin", doc: { errors: ["not_found"] } },
      schema: {
        operationId: "adminGetJob",
        tags: ["admin"],
        summary: "A job of any team",
        params,
        response: { 200: JobSchema }
      }
    },
    async (request) => {
      const job = await database.jobs.find(request.params.id);
      if (job === null) throw notFound("job");
      return viewJob(database, job);
    }
  );
  app2.post(
    "/admin/jobs/:id/cancel",
    {
      config: { scope: "admin", doc: { errors: ["not_found"] } },
      schema: {
        operationId: "adminCancelJob",
        tags: ["admin"],
        summary: "Cancel a job of any team; again is fine, and a finished job stays as it is",
        params,
        response: { 200: JobSchema, 202: JobSchema }
      }
    },
    async (request, reply) => {
      const found = await database.jobs.find(request.params.id);
      const outcome = found === null ? null : await database.jobs.requestCancel(found.teamId, found.id, actorOf(request));
      if (outcome === null) throw notFound("job");
      return reply.code(isFinished(outcome.job) ? 200 : 202).send(await viewJob(database, outcome.job));
    }
  );
};

// src/api/admin/workers.ts
import { Type as Type12 } from "typebox";

// src/api/pool/worker.ts
import { Type as Type11 } from "typebox";
var Offer = {
  class: Nullable(Type11.String()),
  device_memory_bytes: Type11.Integer({ description: "of the accelerator; 0 without one" })
};
var WorkerSchema = Type11.Object(
  {
    id: Type11.String(),
    engine: Type11.String(),
    device: Type11.String(),
    threads: Type11.Integer(),
    slots: Type11.Integer({ description: "tasks it can run at once" }),
    ...Offer,
    busy_with: Nullable(
      Type11.Object({
        job_id: Nullable(Type11.String({ description: "null for another team's job, without the scope admin" })),
        team_id: Nullable(Type11.String({ description: "in the same way" })),
        task: Type11.String(),
        layer: Nullable(Type11.Integer())
      })
    ),
    out_of_service: Nullable(
      Type11.Object(
        {
          code: Type11.String(),
          reason: Nullable(Type11.String({ description: "with the scope admin" })),
          since: Time
        },
        { description: "for a fault of its own it takes no tasks until a probe succeeds" }
      )
    ),
    draining_since: Nullable(Type11.String({ format: "date-time", description: "it takes no more tasks since then" })),
    started_at: Time,
    last_seen_at: Time
  },
  { $id: "Worker" }
);
function presentWorker(worker, { teamId, admin }) {
  const { busy, trouble } = worker;
  const named = busy !== null && (busy.teamId === teamId || admin);
  return {
    id: worker.id,
    engine: worker.engine,
    device: worker.device,
    threads: worker.threads,
    slots: worker.slots,
    class: worker.class,
    device_memory_bytes: worker.deviceMemoryBytes,
    busy_with: busy && {
      job_id: named ? busy.jobId : null,
      team_id: named ? busy.teamId : null,
      task: busy.kind,
      layer: busy.layer
    },
    out_of_service: trouble && { ...trouble, reason: admin ? trouble.reason : null },
    draining_since: worker.drainingSince?.toISOString() ?? null,
    started_at: worker.startedAt.toISOString(),
    last_seen_at: worker.lastSeenAt.toISOString()
  };
}

// src/api/admin/workers.ts
var params2 = Type12.Object({ id: Type12.String() });
var adminWorkers = async (app2, { deps }) => {
  const { workers } = deps.database;
  const calls = [
    ["POST", "drainWorker", true, "Let a worker end its task and take no more; it is idle when `busy_with` is null"],
    ["DELETE", "undrainWorker", false, "Let a draining worker take tasks again"]
  ];
  for (const [method, operationId, draining, summary] of calls) {
    app2.route({
      method,
      url: "/admin/workers/:id/drain",
      config: { scope: "admin", doc: { errors: ["not_found"] } },
      schema: {
        operationId,
        tags: ["admin"],
        summary: `${summary}; again is fine`,
        params: params2,
        response: { 200: WorkerSchema }
      },
      handler: async (request) => {
        const { id } = request.params;
        const worker = await workers.drain(id, draining, actorOf(request));
        if (worker === null) throw notFound("worker that is alive");
        return presentWorker(worker, { teamId: null, admin: true });
      }
    });
  }
};

// src/api/admin/index.ts
import { createBullBoard } from "@bull-board/api";
import { FastifyAdapter } from "@bull-board/fastify";

// src/api/admin/login-page.ts
var loginPage = (fault2 = "") => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Sparank: operators</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 15vh auto; padding: 0 1rem; color: #1c2530 }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit }
input, button { padding: .6rem .7rem; margin-top: .4rem; border: 1px solid #8b96a5; border-radius: .4rem }
button { margin-top: 1rem; border: 0; background: #1f4fd8; color: #fff; cursor: pointer }
[role=alert] { color: #a4161a }
</style>
</head>
<body>
<main>
<h1>Queues</h1>
${fault2 === "" ? "" : `<p role="alert">${fault2}</p>`}
<form method="post" action="/admin/login">
<label for="key">API key with the scope <code>admin</code></label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button>Enter for an hour</button>
</form>
</main>
</body>
</html>
`;

// src/api/admin/index.ts
var BOARD = "/admin/queues";
var LOGIN = "/admin/login";
var FORM_BYTES = 2048;
var POLICY = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";
var adminRoutes = async (app2, { deps }) => {
  app2.addHook("onSend", async (_request, reply) => {
    reply.header("Content-Security-Policy", POLICY).header("Cache-Control", "no-store");
  });
  await app2.register(async (login) => {
    login.addContentTypeParser(
      "application/x-www-form-urlencoded",
      { parseAs: "string", bodyLimit: FORM_BYTES },
      (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(String(body))))
    );
    const hidden = { config: { scope: "public" }, schema: { hide: true } };
    login.get(LOGIN, hidden, async (_request, reply) => reply.type("text/html; charset=utf-8").send(loginPage()));
    login.post(LOGIN, hidden, async (request, reply) => {
      const given = request.body?.key;
      const hash = hashKey(typeof given === "string" ? given.trim() : "");
      const key = await deps.keyLookup.byHash(request, hash);
      if (key === null || !key.scopes.includes("admin")) {
        request.log.warn("a login to the dashboard was refused");
        const refusal2 = key === null ? await deps.keyLookup.refusal(request, "The key is unknown, revoked or expired.") : new InputError("forbidden", "The key lacks the scope admin.");
        if (refusal2.retryAfterSeconds !== void 0) reply.header("Retry-After", refusal2.retryAfterSeconds);
        return reply.code(refusal2.status).type("text/html; charset=utf-8").send(loginPage(refusal2.message));
      }
      const actor = { keyId: key.id, keyPrefix: key.prefix, teamId: key.teamId };
      await deps.database.audit.note(
        { action: "dashboard.login", teamId: null, subject: key.id },
        { ...actor, requestId: request.id, address: request.ip }
      );
      return reply.header("Set-Cookie", sessionCookie(request, BOARD_SESSION, key)).redirect(`${BOARD}/`, 303);
    });
    login.post(
      "/admin/logout",
      hidden,
      async (request, reply) => reply.header("Set-Cookie", endedCookie(request, BOARD_SESSION)).redirect(LOGIN, 303)
    );
    login.get("/admin", hidden, async (_request, reply) => reply.redirect(`${BOARD}/`, 303));
  });
  const serverAdapter = new FastifyAdapter();
  const { replaceQueues } = createBullBoard({
    queues: deps.queue.boards(),
    serverAdapter,
    options: {
      uiConfig: {
        boardTitle: "Sparank queue",
        hideDocsLink: true,
        showMetrics: false,
        miscLinks: [{ text: "API", url: "/docs" }]
      }
    }
  });
  serverAdapter.setBasePath(BOARD);
  serverAdapter.setErrorHandler((error) => {
    if (!(error instanceof SparankError)) deps.logger.error({ err: error }, "the dashboard failed");
    const known = error instanceof SparankError ? error : new SparankError("internal", "see the log");
    return { status: known.status, body: { code: known.code, title: known.title, detail: known.message } };
  });
  await app2.register(
    async (board) => {
      board.addHook("onRoute", (route) => {
        route.config = { ...route.config, scope: "admin", login: LOGIN };
      });
      board.addHook("onRequest", async (request) => {
        if (request.method === "GET" || request.method === "HEAD") return;
        throw new InputError("forbidden", "the dashboard is for looking; change jobs through the interface");
      });
      board.addHook("onRequest", async (request) => {
        if (!request.url.startsWith(`${BOARD}/api/`)) return;
        const { lanes } = await deps.database.pool.overview();
        replaceQueues(deps.queue.boards(lanes.map(({ lane }) => lane)));
      });
      await board.register(serverAdapter.registerPlugin());
    },
    { prefix: BOARD }
  );
};

// src/api/at-once.ts
var AtOnce = class {
  /** `setting` has `most` as its value; `what` completes "N …". */
  constructor(most, text3, retrySeconds) {
    this.most = most;
    this.text = text3;
    this.retrySeconds = retrySeconds;
  }
  most;
  text;
  retrySeconds;
  #open = /* @__PURE__ */ new Map();
  /**
   * One more; the caller calls what it gets when that is over.
   * @throws {InputError} too_many_requests
   */
  add(id) {
    const open = this.#open.get(id) ?? 0;
    if (open >= this.most) {
      throw new InputError("too_many_requests", `${this.text.setting}: ${open} ${this.text.what}`, {
        retryAfterSeconds: this.retrySeconds
      });
    }
    this.#open.set(id, open + 1);
    return () => {
      const left = (this.#open.get(id) ?? 1) - 1;
      if (left === 0) this.#open.delete(id);
      else this.#open.set(id, left);
    };
  }
};

// src/api/content-encoding.ts
function refuseEncoded(request) {
  const encoding = request.headers["content-encoding"]?.trim().toLowerCase();
  if (encoding === void 0 || encoding === "" || encoding === "identity") return;
  throw unsupported(
    "#header/content-encoding",
    `a body is taken as it is: unpack it (gzip -d), and send no Content-Encoding: ${encoding}`
  );
}

// src/api/client-error.ts
import { randomUUID } from "node:crypto";
import { STATUS_CODES } from "node:http";
var MEANINGS = {
  HPE_HEADER_OVERFLOW: { status: 431, pointer: "#header", detail: "has more than 16 KiB" },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, pointer: "#body", detail: "has chunk extensions of more than 16 KiB" },
  HPE_INVALID_EOF_STATE: { status: 400, pointer: "#request", detail: "was cut short" },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, pointer: "#request", detail: "did not come to its end in time" }
};
function meaningOf(code) {
  const known = MEANINGS[code];
  if (known !== void 0) return known;
  const pointer = /HEADER|CONTENT_LENGTH|TRANSFER_ENCODING/.test(code) ? "#header" : "#request";
  const reason = code.replace(/^HPE_/, "").toLowerCase().replaceAll("_", " ");
  return { status: 400, pointer, detail: `is not valid HTTP/1.1 (${reason})` };
}
function hasBegun(socket) {
  const { _httpMessage: answer2 } = socket;
  return answer2?.headersSent === true;
}
function answerClientError(error, socket) {
  if (error.code === "ECONNRESET" || !socket.writable || hasBegun(socket)) {
    socket.destroy(error);
    return;
  }
  const { status, pointer, detail } = meaningOf(error.code ?? "");
  const problem = problemBody(requestFault(pointer, detail), { status, instance: "/", requestId: randomUUID() });
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ""}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${String(Buffer.byteLength(body))}`,
    `X-Request-Id: ${problem.request_id}`,
    "Connection: close"
  ];
  socket.end(`${head.join("\r\n")}\r
\r
${body}`, () => socket.destroy());
}

// src/api/health/index.ts
import { Type as Type13 } from "typebox";

// src/errors/within.ts
var noAnswer = (ms) => new Error(`no answer within ${ms} ms`);
async function within(work, ms, late = noAnswer) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(late(ms)), ms);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
    work.catch(() => void 0);
  }
}

// src/api/health/index.ts
var CHECK_MS = 3e3;
var State = Type13.Union([Type13.Literal("ok"), Type13.Literal("failing")]);
var Readiness = Type13.Object({
  status: Type13.Union([Type13.Literal("ok"), Type13.Literal("degraded"), Type13.Literal("failing")], {
    description: "degraded: this process answers, and what needs a failing backend waits, or is answered with 503"
  }),
  checks: Type13.Object({ postgres: State, queue: State, storage: State })
});
var healthRoutes = async (app2, { deps }) => {
  async function probe(name, part) {
    try {
      await within(part.check(), CHECK_MS);
      return "ok";
    } catch (error) {
      app2.log.warn({ err: error }, `${name} is not ready`);
      return "failing";
    }
  }
  const look = () => Promise.all([probe("postgres", deps.database), probe("queue", deps.queue), probe("storage", deps.storage)]);
  let underWay = null;
  app2.get(
    "/healthz",
    {
      config: { scope: "public" },
      schema: {
        operationId: "getHealth",
        tags: ["service"],
        summary: "Liveness: the process answers",
        security: [],
        response: { 200: Type13.Object({ status: Type13.Literal("ok"), version: Type13.String() }) }
      }
    },
    async () => ({ status: "ok", version: VERSION })
  );
  app2.get(
    "/readyz",
    {
      config: { scope: "public" },
      schema: {
        operationId: "getReadiness",
        tags: ["service"],
        summary: "Readiness: this process answers, which needs PostgreSQL; `degraded` while queue or storage do not",
        security: [],
        response: { 200: Readiness, 503: Readiness }
      }
    },
    async (_request, reply) => {
      underWay ??= look().finally(() => underWay = null);
      const [postgres, queue, storage] = await underWay;
      const ready = !deps.closing.aborted && postgres === "ok";
      const whole = queue === "ok" && storage === "ok";
      return reply.code(ready ? 200 : 503).header("Cache-Control", "no-store").send({ status: !ready ? "failing" : whole ? "ok" : "degraded", checks: { postgres, queue, storage } });
    }
  );
};

// src/api/jobs/actions.ts
import { Type as Type14 } from "typebox";

// src/storage/is-stored.ts
async function isStored(storage, { key, bytes }) {
  return (await storage.head(key))?.bytes === bytes;
}

// src/api/jobs/actions.ts
var params3 = Type14.Object({ id: Type14.String() });
var jobActions = async (app2, { deps }) => {
  const { database, storage } = deps;
  app2.post(
    "/jobs/:id/cancel",
    {
      config: { scope: "jobs:write", doc: { errors: ["not_found"] } },
      schema: {
        operationId: "cancelJob",
        tags: ["jobs"],
        summary: "Cancel; again is fine, and a finished job stays as it is",
        params: params3,
        response: { 200: JobSchema, 202: JobSchema }
      }
    },
    async (request, reply) => {
      const outcome = await database.jobs.requestCancel(teamOf(request), request.params.id);
      if (outcome === null) throw notFound("job");
      return reply.code(isFinished(outcome.job) ? 200 : 202).send(await viewJob(database, outcome.job));
    }
  );
  app2.post(
    "/jobs/:id/retry",
    {
      config: {
        scope: "jobs:write",
        doc: { errors: ["not_found", "conflict", "limit_exceeded"], headers: { 202: ["Location"] } }
      },
      schema: {
        operationId: "retryJob",
        tags: ["jobs"],
        summary: "Run a failed or canceled job again, from its last good layer",
        params: params3,
        response: { 202: JobSchema }
      }
    },
    async (request, reply) => {
      const before = await database.jobs.get(teamOf(request), request.params.id);
      if (before !== null) await refuseLostContent(storage, before.inputs);
      const job = await database.jobs.retry(teamOf(request), request.params.id);
      if (job === null) throw notFound("job");
      return reply.code(202).header("Location", `/jobs/${job.id}`).send(await viewJob(database, job));
    }
  );
  app2.delete(
    "/jobs/:id",
    {
      config: { scope: "jobs:write", doc: { errors: ["not_found", "conflict"] } },
      schema: {
        operationId: "deleteJob",
        tags: ["jobs"],
        summary: "Remove a finished job and its artifacts",
        params: params3,
        response: { 204: Type14.Null({ description: "removed" }) }
      }
    },
    async (request, reply) => {
      const removed = await database.jobs.remove(teamOf(request), request.params.id);
      if (removed === null) throw notFound("job");
      for (const prefix of removed.prefixes) await storage.deletePrefix(prefix);
      return reply.code(204).send(null);
    }
  );
};
async function refuseLostContent(storage, inputs) {
  const parts = ["model", "calibration", "evaluation"].flatMap((part) => {
    const input = inputs[part];
    return input === null ? [] : [{ part, input }];
  });
  const stored = await Promise.all(parts.map(({ input }) => isStored(storage, input)));
  const lost2 = parts.filter((_, i) => !stored[i]);
  if (lost2.length === 0) return;
  const names = lost2.map(({ part, input }) => `${part} (${input.filename}, sha256:${input.sha256})`).join(" and ");
  throw new InputError(
    "conflict",
    `the content of the job's ${names} was lost; send it to /uploads again, then retry`,
    {
      faults: lost2.map(({ part }) => ({ pointer: `/${part}`, detail: "is not stored any more" }))
    }
  );
}

// src/api/jobs/cancel-many.ts
import PQueue from "p-queue";
import { Type as Type15 } from "typebox";
var MOST_IDS = 1e3;
var AT_ONCE = 4;
var BodySchema = Type15.Object(
  {
    ids: Type15.Optional(
      Type15.Array(Type15.String({ maxLength: 64 }), { minItems: 1, maxItems: MOST_IDS, uniqueItems: true })
    ),
    status: Type15.Optional(Type15.Array(Type15.Enum([...JOB_STATUSES]), { minItems: 1, uniqueItems: true })),
    labels: Type15.Optional(
      Type15.Record(Type15.String({ pattern: "^[A-Za-z0-9_.-]{1,64}$" }), Type15.String({ maxLength: 256 }), {
        additionalProperties: Type15.Never(),
        minProperties: 1,
        maxProperties: 32
      })
    )
  },
  { $id: "JobChoice", additionalProperties: false, description: "jobs that match all of what is given" }
);
var OutcomeSchema = Type15.Object(
  {
    matched: Type15.Integer({ description: "jobs that were chosen, those that had ended included" }),
    canceled: Type15.Integer({ description: "that were queued, and are canceled now" }),
    canceling: Type15.Integer({ description: "that were running: their workers still have to let go of them" }),
    unchanged: Type15.Integer({ description: "that had ended, or were being canceled" })
  },
  { $id: "CancelOutcome" }
);
var cancelJobs = async (app2, { deps }) => {
  const { jobs } = deps.database;
  app2.post(
    "/jobs/cancel",
    {
      config: { scope: "jobs:write" },
      schema: {
        operationId: "cancelJobs",
        tags: ["jobs"],
        summary: "Cancel all jobs with these labels, ids or statuses; again is fine",
        description: "One of the three must be given. Jobs that are submitted meanwhile may be missed.",
        body: BodySchema,
        response: { 200: OutcomeSchema }
      }
    },
    async (request) => {
      const teamId = teamOf(request);
      const { ids, status, labels } = request.body;
      if (ids === void 0 && status === void 0 && labels === void 0)
        throw requestFault("", "name the jobs: by ids, labels or status");
      const chosen = await jobs.openIds(teamId, {
        ...ids === void 0 ? {} : { ids },
        ...status === void 0 ? {} : { status },
        ...labels === void 0 ? {} : { labels }
      });
      const queue = new PQueue({ concurrency: AT_ONCE });
      const outcomes = await queue.addAll(chosen.ids.map((id) => () => jobs.requestCancel(teamId, id)));
      const changed = outcomes.flatMap((outcome) => outcome?.changed === true ? [outcome.job] : []);
      const canceled = changed.filter(isFinished).length;
      return {
        matched: chosen.matched,
        canceled,
        canceling: changed.length - canceled,
        unchanged: chosen.matched - changed.length
      };
    }
  );
};

// src/api/jobs/artifacts.ts
import { basename } from "node:path";
import { Type as Type16 } from "typebox";

// src/api/uploads/digest.ts
var SHA256 = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]+={0,2}):\s*(?=,|$)/i;
var SHA256_BYTES = 32;
function readReprDigest(header) {
  if (header === void 0) return null;
  const bytes = Buffer.from(SHA256.exec(header)?.[1] ?? "", "base64");
  if (bytes.length === SHA256_BYTES) return bytes.toString("hex");
  if (!/sha-256\s*=/i.test(header)) return null;
  const detail = "Repr-Digest must be sha-256=:<base64 of 32 bytes>:";
  throw new InputError("invalid_request", detail, { faults: [{ pointer: "#header/repr-digest", detail }] });
}
var formatReprDigest = (sha256) => `sha-256=:${Buffer.from(sha256, "hex").toString("base64")}:`;

// src/api/jobs/range.ts
function readRange(header, bytes) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.replaceAll(" ", "") ?? "");
  if (match === null) return null;
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return null;
  const start = first === "" ? Math.max(0, bytes - Number(last)) : Number(first);
  const end = first === "" || last === "" ? bytes - 1 : Math.min(Number(last), bytes - 1);
  if (last !== "" && first !== "" && Number(last) < start) return null;
  if (start >= bytes || first === "" && Number(last) === 0) return "unsatisfiable";
  return { start, end };
}
function rangeApplies(ifRange, etag, lastModified) {
  return ifRange === void 0 || ifRange === etag || ifRange === lastModified;
}

// src/api/jobs/artifacts.ts
var PRESIGNED_SECONDS = 300;
var Bytes = { content: { "application/octet-stream": { schema: Type16.String({ format: "binary" }) } } };
var OF_A_FILE = ["ETag", "Last-Modified", "Cache-Control", "Content-Disposition"];
var Empty = (description) => Type16.Null({ description });
async function sendArtifact(storage, artifact, request, reply) {
  const { name, key, bytes, sha256, contentType } = artifact;
  const etag = `"${sha256}"`;
  const modified = artifact.createdAt.toUTCString();
  const unchanged = matches(request.headers["if-none-match"], etag);
  if (!unchanged && !await isStored(storage, artifact)) throw lost(name);
  reply.header("ETag", etag).header("Last-Modified", modified).header("Accept-Ranges", "bytes").header("Cache-Control", "private, no-cache").header("Content-Disposition", `attachment; filename="${name.replaceAll(/[^\w.-]/g, "_")}"`);
  if (unchanged) return reply.code(304).send();
  if (request.method !== "HEAD") {
    const url = await storage.presign(key, { filename: name, contentType, expiresInSeconds: PRESIGNED_SECONDS });
    if (url !== null) return reply.redirect(url, 302);
  }
  reply.header("Repr-Digest", formatReprDigest(sha256)).type(contentType);
  if (request.method === "HEAD") return reply.header("Content-Length", bytes).send();
  const applies = rangeApplies(request.headers["if-range"]?.toString(), etag, modified);
  const range = readRange(applies ? request.headers.range : void 0, bytes);
  if (range === "unsatisfiable") {
    reply.header("Content-Range", `bytes */${bytes}`);
    throw new InputError("range_not_satisfiable", `the file has ${bytes} bytes`);
  }
  if (range === null) return reply.header("Content-Length", bytes).send(await opened(storage, key, reply));
  return reply.code(206).header("Content-Range", `bytes ${range.start}-${range.end}/${bytes}`).header("Content-Length", range.end - range.start + 1).send(await opened(storage, key, reply, range));
}
var lost = (name) => new InfrastructureError("gone", `${name} was made, and is not stored any more; submit the job again for another one`);
async function opened(storage, key, reply, range) {
  const body = await storage.get(key, range).catch((error) => {
    throw error instanceof SparankError && error.code === "not_found" ? lost(basename(key)) : error;
  });
  if (reply.raw.destroyed) body.destroy();
  else reply.raw.once("close", () => body.destroy());
  return body;
}
var jobArtifacts = async (app2, { deps }) => {
  const { database, storage } = deps;
  app2.get(
    "/jobs/:id/artifacts",
    {
      config: { scope: "jobs:read", doc: { errors: ["not_found"] } },
      schema: {
        operationId: "listArtifacts",
        tags: ["jobs"],
        summary: "The files that the job made",
        params: Type16.Object({ id: Type16.String() }),
        response: { 200: Type16.Object({ data: Type16.Array(ArtifactSchema) }) }
      }
    },
    async (request) => {
      const { id } = request.params;
      const artifacts = await database.artifacts.list(teamOf(request), id);
      if (artifacts === null) throw notFound("job");
      return { data: artifacts.map((artifact) => presentArtifact(id, artifact)) };
    }
  );
  app2.route({
    // HEAD has a handler of its own here: the automatic one would read the file to its end.
    method: ["GET", "HEAD"],
    url: "/jobs/:id/artifacts/:name",
    exposeHeadRoute: false,
    config: {
      scope: "jobs:read",
      doc: {
        errors: ["not_found", "gone", "range_not_satisfiable"],
        headers: {
          200: [...OF_A_FILE, "Accept-Ranges", "Repr-Digest"],
          206: [...OF_A_FILE, "Content-Range", "Repr-Digest"],
          302: [...OF_A_FILE, "Location"],
          304: OF_A_FILE
        }
      }
    },
    schema: {
      operationId: "downloadArtifact",
      tags: ["jobs"],
      summary: "Download; with Range, If-Range and If-None-Match",
      description: "On S3 the answer is a redirect to a presigned URL.",
      params: Type16.Object({ id: Type16.String(), name: Type16.String() }),
      headers: Type16.Object({
        range: Type16.Optional(Type16.String({ description: "one range of bytes: `bytes=0-1023`" })),
        "if-range": Type16.Optional(
          Type16.String({ description: "ETag or Last-Modified: the range of this content, or the whole" })
        ),
        "if-none-match": Type16.Optional(Type16.String({ description: "the last ETag: 304 when nothing changed" }))
      }),
      response: {
        200: { description: "the file", ...Bytes },
        206: { description: "a part of it", ...Bytes },
        302: Empty("to the presigned URL"),
        304: Empty("nothing changed")
      }
    },
    handler: async (request, reply) => {
      const { id, name } = request.params;
      const artifact = await database.artifacts.get(teamOf(request), id, name);
      if (artifact === null) throw notFound("artifact");
      return sendArtifact(storage, artifact, request, reply);
    }
  });
};

// src/api/jobs/events.ts
import { Type as Type17 } from "typebox";

// src/api/jobs/still-good.ts
var KEY_IS_GOOD_MS = 1e3;
function stillGood(keys, keyId) {
  let looked = Date.now();
  return async (when) => {
    if (when !== "exactly" && Date.now() - looked < KEY_IS_GOOD_MS) return true;
    looked = Date.now();
    return await keys.findById(keyId) !== null;
  };
}

// src/api/jobs/watch.ts
function clientGone(reply) {
  const controller = new AbortController();
  reply.raw.once("close", () => controller.abort());
  return controller.signal;
}
function watch(notifications, topic, signal) {
  let pending = false;
  let wake = null;
  const notify = () => {
    pending = true;
    wake?.();
  };
  const unsubscribe = notifications.subscribe(topic, notify);
  const stop = () => {
    unsubscribe();
    signal.removeEventListener("abort", stop);
    wake?.();
  };
  if (signal.aborted) unsubscribe();
  else signal.addEventListener("abort", stop, { once: true });
  return {
    stop,
    async next(ms) {
      if (!pending && !signal.aborted) {
        await new Promise((resolve2) => {
          const timer = setTimeout(resolve2, ms);
          wake = () => {
            clearTimeout(timer);
            resolve2();
          };
        });
        wake = null;
      }
      pending = false;
    }
  };
}

// src/api/jobs/events.ts
var EventSchema = Type17.Object(
  {
    id: Type17.String({ description: "ascending: the cursor, and the Last-Event-ID" }),
    job_id: Type17.String(),
    type: Type17.String(),
    data: Type17.Record(Type17.String(), Type17.Unknown()),
    created_at: Time
  },
  { $id: "Event" }
);
var EVENT_STREAM = {
  "text/event-stream": {
    schema: {
      type: "string",
      description: "server-sent events; `data` of each is an Event, `id` and `event` are its id and type"
    },
    example: 'id: 7\nevent: job.progress\ndata: {"id":"7","job_id":"job_1","type":"job.progress","data":{},"created_at":"2026-01-31T12:00:00.000Z"}\n\n'
  }
};
var STREAM_PAGE = 100;
var LOOK_AGAIN_MS = 5e3;
var present2 = (event) => ({
  id: String(event.id),
  job_id: event.jobId,
  type: event.type,
  data: event.data,
  created_at: event.createdAt.toISOString()
});
function readCursor(given, pointer) {
  if (given === void 0 || given === "") return 0;
  if (/^\d{1,15}$/.test(given)) return Number(given);
  const detail = "must be the id of an event";
  throw new InputError("invalid_request", `${pointer} ${detail}`, { faults: [{ pointer, detail }] });
}
async function* follow({ database }, { job, keyId, after, signal }) {
  const isGood = stillGood(database.keys, keyId);
  const changes = watch(database.notifications, job.id, signal);
  try {
    for (let cursor = after; !signal.aborted; ) {
      if (!await isGood()) return;
      const current = await database.jobs.get(job.teamId, job.id);
      const events = await database.events.list(job.teamId, job.id, { after: cursor, limit: STREAM_PAGE });
      for (const event of events?.data ?? []) {
        cursor = event.id;
        yield { id: String(event.id), event: event.type, data: present2(event) };
      }
      if (events?.hasMore === true) continue;
      if (current === null || events === null || isFinished(current)) return;
      await changes.next(LOOK_AGAIN_MS);
    }
  } finally {
    changes.stop();
  }
}
var jobEvents = async (app2, { deps }) => {
  const { streams } = deps;
  app2.get(
    "/jobs/:id/events",
    {
      config: { scope: "jobs:read", doc: { errors: ["not_found"], streams: { 200: EVENT_STREAM } } },
      sse: "dual",
      schema: {
        operationId: "listJobEvents",
        tags: ["jobs"],
        summary: "What happened, oldest first; live with Accept: text/event-stream",
        description: "The stream goes on after `Last-Event-ID` and closes when the job has ended, or within seconds when its key is revoked or expires.",
        params: Type17.Object({ id: Type17.String() }),
        querystring: Type17.Object(
          { limit: Limit, after: Type17.Optional(Type17.String()) },
          { additionalProperties: false }
        ),
        headers: Type17.Object({
          "last-event-id": Type17.Optional(
            Type17.String({ description: "the last id that a stream brought: goes on after it" })
          )
        }),
        response: {
          200: PageOf(EventSchema, "EventPage"),
          204: Type17.Null({
            description: "the job has ended and there is nothing after Last-Event-ID: do not reconnect"
          })
        }
      }
    },
    async (request, reply) => {
      const teamId = teamOf(request);
      const { id } = request.params;
      const after = readCursor(request.query.after, "#query/after");
      const stream = reply.sse;
      if (stream === void 0 || !prefers(request, "text/event-stream", "application/json")) {
        const events = await deps.database.events.list(teamId, id, { limit: request.query.limit, after });
        if (events === null) throw notFound("job");
        return reply.code(200).send(page(events.data, events.hasMore, present2, (event) => String(event.id)));
      }
      const job = await deps.database.jobs.get(teamId, id);
      if (job === null) throw notFound("job");
      const last = request.headers["last-event-id"]?.toString();
      const from = last === void 0 ? after : readCursor(last, "#header/last-event-id");
      if (last !== void 0 && isFinished(job)) {
        const rest = await deps.database.events.list(teamId, id, { after: from, limit: 1 });
        if (rest?.data.length === 0) return reply.code(204).send(null);
      }
      const { keyId } = callerFrom(request);
      const over = streams.add(keyId);
      try {
        stream.sendHeaders();
        const signal = AbortSignal.any([deps.closing, clientGone(reply)]);
        await stream.send(follow(deps, { job, keyId, after: from, signal }));
      } finally {
        over();
      }
      stream.close();
      return reply;
    }
  );
};

// src/api/jobs/get.ts
import { Type as Type18 } from "typebox";
var MAX_WAIT_SECONDS = 60;
var LOOK_AGAIN_MS2 = 5e3;
function readWait(header) {
  const seconds2 = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,6})"?/i.exec(header ?? "")?.[1];
  return Math.min(MAX_WAIT_SECONDS, Number(seconds2 ?? 0));
}
async function settled(deps, { job, keyId, seen, seconds: seconds2 }, reply) {
  const until = Date.now() + seconds2 * 1e3;
  const isGood = stillGood(deps.database.keys, keyId);
  const signal = AbortSignal.any([deps.closing, clientGone(reply)]);
  const changes = watch(deps.database.notifications, job.id, signal);
  try {
    for (let current = job; ; ) {
      current = await deps.database.jobs.get(job.teamId, job.id);
      const left = until - Date.now();
      const over = current === null || current.status !== seen || isFinished(current) || left <= 0 || signal.aborted;
      if (!await isGood(over ? "exactly" : void 0)) throw new InputError("unauthorized", NOT_VALID);
      if (over) return current;
      await changes.next(Math.min(left, LOOK_AGAIN_MS2));
    }
  } finally {
    changes.stop();
  }
}
function describe(reply, job, place) {
  reply.header("ETag", jobEtag(job, place)).header("Cache-Control", "private, no-cache");
  reply.header("Vary", "Authorization, Prefer");
  const retryAfter = retryAfterSeconds(job, place);
  if (retryAfter !== null) reply.header("Retry-After", retryAfter);
  return reply;
}
var OF_A_JOB = ["ETag", "Cache-Control", "Retry-After", "Preference-Applied"];
var getJob = async (app2, { deps }) => {
  app2.get(
    "/jobs/:id",
    {
      config: { scope: "jobs:read", doc: { errors: ["not_found"], headers: { 200: OF_A_JOB, 304: OF_A_JOB } } },
      schema: {
        operationId: "getJob",
        tags: ["jobs"],
        summary: "The job, to poll",
        description: "With `If-None-Match` an unchanged job is 304. `Prefer: wait=N` (up to 60 seconds) answers when the status is another than the one that the ETag in `If-None-Match` stands for (or than at the time of the request), or the job has ended. It is 401 within seconds when the key is revoked or expires meanwhile. `Retry-After` tells when asking again is worth it.",
        params: Type18.Object({ id: Type18.String() }),
        headers: Type18.Object({
          "if-none-match": Type18.Optional(Type18.String({ description: "the last ETag: 304 when nothing changed" })),
          prefer: Type18.Optional(Type18.String({ description: "`wait=N`, seconds, 60 at most" }))
        }),
        response: { 200: JobSchema, 304: Type18.Null({ description: "nothing changed" }) }
      }
    },
    async (request, reply) => {
      const { database } = deps;
      const teamId = teamOf(request);
      const { id } = request.params;
      const condition = request.headers["if-none-match"];
      const seconds2 = readWait(request.headers.prefer);
      if (condition !== void 0 && seconds2 === 0) {
        const brief = await database.jobs.brief(teamId, id);
        if (brief === null) throw notFound("job");
        const place2 = await placeOf(database, brief);
        if (matches(condition, jobEtag(brief, place2))) return describe(reply, brief, place2).code(304).send(null);
      }
      let job = await database.jobs.get(teamId, id);
      if (job === null) throw notFound("job");
      if (seconds2 > 0) {
        const seen = statusSeen(condition) ?? job.status;
        const { keyId } = callerFrom(request);
        if (!isFinished(job) && job.status === seen) job = await settled(deps, { job, keyId, seen, seconds: seconds2 }, reply);
        if (job === null) throw notFound("job");
        reply.header("Preference-Applied", `wait=${seconds2}`);
      }
      const place = await placeOf(database, job);
      describe(reply, job, place);
      if (matches(condition, jobEtag(job, place))) return reply.code(304).send(null);
      return reply.code(200).send(await viewJob(database, job, place));
    }
  );
};

// src/api/jobs/layers.ts
import { Type as Type19 } from "typebox";
function noSuchPoint(count2) {
  const detail = count2 === 1 ? "the job has one point" : `the job has the points 1 to ${String(count2)}`;
  return new InputError("invalid_request", detail, { faults: [{ pointer: "#query/point", detail }] });
}
var jobLayers = async (app2, { deps }) => {
  app2.get(
    "/jobs/:id/layers",
    {
      config: { scope: "jobs:read", doc: { errors: ["not_found"] } },
      schema: {
        operationId: "listLayers",
        tags: ["jobs"],
        summary: "The ledger: what happened to every layer, readable while the job runs",
        params: Type19.Object({ id: Type19.String() }),
        querystring: Type19.Object(
          {
            point: Type19.Integer({
              minimum: 1,
              maximum: MAX_TARGETS,
              default: 1,
              description: "of a job with several targets: the number of the target"
            })
          },
          { additionalProperties: false }
        ),
        response: { 200: Type19.Object({ data: Type19.Array(LayerRowSchema) }) }
      }
    },
    async (request) => {
      const teamId = teamOf(request);
      const { id } = request.params;
      const { point } = request.query;
      const job = point === 1 ? null : await deps.database.jobs.get(teamId, id);
      if (job !== null && point > targetsOf(job.spec).length) throw noSuchPoint(targetsOf(job.spec).length);
      const data = await deps.database.layers.list(teamId, id, point);
      if (data === null) throw notFound("job");
      return { data };
    }
  );
};

// src/api/jobs/team-events.ts
import { Type as Type20 } from "typebox";

// src/api/jobs/feed.ts
var OVERLAP_MS = 2e3;
var LONG_OVERLAP_MS = 2e4;
var LOOK_EVERY_MS = 200;
var LOOK_AGAIN_MS3 = 5e3;
var PAGE = 500;
async function changeOf(database, job) {
  const row = presentRow(job, await placeOf(database, job));
  return { at: job.updatedAt.getTime(), jobId: job.id, event: "job", row, data: JSON.stringify(row) };
}
async function* changesSince(database, teamId, since) {
  const told2 = /* @__PURE__ */ new Map();
  for (let from = since - OVERLAP_MS; ; ) {
    const rows = await database.jobs.changes(teamId, new Date(from), PAGE);
    const fresh = rows.filter(({ id, version: version2 }) => told2.get(id) !== version2);
    for (const job of fresh) {
      told2.set(job.id, job.version);
      yield await changeOf(database, job);
    }
    const last = rows.at(-1);
    if (last === void 0 || rows.length < PAGE) return;
    from = fresh.length === 0 ? last.updatedAt.getTime() + 1 : last.updatedAt.getTime();
  }
}
var JobFeed = class {
  constructor(database, teamId, closing, onError) {
    this.database = database;
    this.teamId = teamId;
    this.closing = closing;
    this.onError = onError;
  }
  database;
  teamId;
  closing;
  onError;
  #followers = /* @__PURE__ */ new Set();
  /** Versions that were told, with their time. */
  #told = /* @__PURE__ */ new Map();
  #running = false;
  #wake = null;
  #pending = false;
  /** Changes from now on, until what it returns is called. */
  follow(follower) {
    this.#followers.add(follower);
    if (!this.#running) void this.#run();
    return () => {
      this.#followers.delete(follower);
      if (this.#followers.size === 0) this.#wake?.();
    };
  }
  async #run() {
    this.#running = true;
    const { notifications } = this.database;
    const team = this.teamId ?? "*";
    const woken = () => {
      this.#pending = true;
      this.#wake?.();
    };
    const stops = [
      notifications.subscribe(`team:${team}`, woken),
      notifications.subscribe(`removed:${team}`, (jobId) => {
        if (jobId !== void 0) this.#remove(jobId);
      })
    ];
    this.closing.addEventListener("abort", woken);
    try {
      let cursor = null;
      while (this.#followers.size > 0 && !this.closing.aborted) {
        const asked = this.#pending;
        this.#pending = false;
        try {
          cursor ??= (await this.database.jobs.now()).getTime();
          cursor = await this.#look(cursor, asked ? OVERLAP_MS : LONG_OVERLAP_MS);
        } catch (error) {
          this.onError(error);
        }
        await this.#pause(LOOK_EVERY_MS, false);
        await this.#pause(LOOK_AGAIN_MS3 - LOOK_EVERY_MS, true);
      }
    } finally {
      for (const stop of stops) stop();
      this.closing.removeEventListener("abort", woken);
      this.#told.clear();
      this.#running = false;
      if (this.#followers.size > 0 && !this.closing.aborted) void this.#run();
    }
  }
  /** Tells what is new since the cursor; returns the next one. */
  async #look(cursor, overlap) {
    let latest = cursor;
    for (let from = cursor - overlap; ; ) {
      const rows = await this.database.jobs.changes(this.teamId, new Date(from), PAGE);
      const fresh = rows.filter(({ id, version: version2 }) => this.#told.get(id)?.version !== version2);
      for (const job of fresh) {
        const at = job.updatedAt.getTime();
        this.#told.set(job.id, { version: job.version, at });
        latest = Math.max(latest, at);
        this.#tell(await changeOf(this.database, job));
      }
      const last = rows.at(-1);
      if (last === void 0 || rows.length < PAGE) break;
      from = last.updatedAt.getTime() + (fresh.length === 0 ? 1 : 0);
    }
    for (const [id, { at }] of this.#told) if (at < latest - 2 * LONG_OVERLAP_MS) this.#told.delete(id);
    return latest;
  }
  #remove(jobId) {
    this.#told.delete(jobId);
    this.#tell({ at: Date.now(), jobId, event: "removed", row: null, data: JSON.stringify({ id: jobId }) });
  }
  #tell(change) {
    for (const follower of [...this.#followers]) follower(change);
  }
  /** So long, or until woken; the end and the last follower's leave always wake it. */
  async #pause(ms, untilWoken) {
    if (untilWoken && this.#pending) return;
    if (this.#followers.size === 0 || this.closing.aborted) return;
    await new Promise((resolve2) => {
      const timer = setTimeout(resolve2, ms);
      this.#wake = () => {
        if (!untilWoken && this.#followers.size > 0 && !this.closing.aborted) return;
        clearTimeout(timer);
        resolve2();
      };
    });
    this.#wake = null;
  }
};

// src/api/jobs/team-events.ts
var CHECK_KEY_MS = 1e3;
var STREAM = {
  "text/event-stream": {
    schema: {
      type: "string",
      description: 'server-sent events: `job` with a JobRow as `data`, `removed` with `{"id"}`; `id` is where to go on'
    },
    example: 'id: 1769860800000\nevent: removed\ndata: {"id":"job_5h2k9m3q7r1t4v8w0x6y"}\n\n'
  }
};
var DESCRIPTION = "A job is told as it is when it is told: of changes that follow each other closely the last one. It begins with what changes from then on, or with `Last-Event-ID` with what changed since; removals are told to those who listen. Open it, then read the list. A job that was told is told again when its status is not among those asked for any more. It ends when its key is revoked or expires.";
var headers = Type20.Object({
  "last-event-id": Type20.Optional(Type20.String({ description: "the last id that a stream brought: goes on after it" }))
});
function readSince(request) {
  const given = request.headers["last-event-id"]?.toString();
  if (given === void 0 || given === "") return null;
  if (/^\d{1,15}$/.test(given)) return Number(given);
  throw requestFault("#header/last-event-id", "must be the id of an event");
}
function chooser({ labels = {}, status, text: text3 }) {
  const told2 = /* @__PURE__ */ new Set();
  const wanted = text3?.toLowerCase();
  return ({ jobId, row }) => {
    if (row === null) return status === void 0 || told2.delete(jobId);
    if (Object.entries(labels).some(([key, value]) => row.labels[key] !== value)) return false;
    const texts = [row.id, row.model, ...Object.values(row.labels)];
    if (wanted !== void 0 && !texts.some((one) => one.toLowerCase().includes(wanted))) return false;
    if (status === void 0) return true;
    if (!status.includes(row.status)) return told2.delete(jobId);
    told2.add(jobId);
    return true;
  };
}
async function* follow2(deps, following) {
  const { feed, teamId, choice, since, keyId, signal } = following;
  const isGood = stillGood(deps.database.keys, keyId);
  const isWanted = chooser(choice);
  const waiting = /* @__PURE__ */ new Map();
  let wake = null;
  const woken = () => wake?.();
  const stop = feed.follow((change) => {
    if (!isWanted(change)) return;
    waiting.delete(change.jobId);
    waiting.set(change.jobId, change);
    woken();
  });
  signal.addEventListener("abort", woken);
  const message2 = ({ at, event, data }) => ({ id: String(at), event, data });
  try {
    if (since !== null)
      for await (const change of changesSince(deps.database, teamId, since)) {
        if (signal.aborted) return;
        if (isWanted(change)) yield message2(change);
      }
    while (!signal.aborted && await isGood()) {
      for (const [jobId, change] of waiting) {
        waiting.delete(jobId);
        yield message2(change);
      }
      if (waiting.size > 0 || signal.aborted) continue;
      await new Promise((resolve2) => {
        const timer = setTimeout(resolve2, CHECK_KEY_MS);
        wake = () => {
          clearTimeout(timer);
          resolve2();
        };
      });
      wake = null;
    }
  } finally {
    stop();
    signal.removeEventListener("abort", woken);
  }
}
var teamEvents = async (app2, { deps }) => {
  const feeds = /* @__PURE__ */ new Map();
  const onError = (error) => app2.log.warn({ err: error }, "changes of jobs could not be read");
  function feedOf(teamId) {
    const feed = feeds.get(teamId) ?? new JobFeed(deps.database, teamId, deps.closing, onError);
    feeds.set(teamId, feed);
    return feed;
  }
  async function stream(request, reply, { teamId, query }) {
    const sse2 = reply.sse;
    if (sse2 === void 0 || !prefers(request, "text/event-stream", "application/json"))
      throw requestFault("#header/accept", "must be text/event-stream; GET /jobs has the list");
    const [choice, since] = [readChoice(query), readSince(request)];
    const { keyId } = callerFrom(request);
    const over = deps.streams.add(keyId);
    try {
      sse2.sendHeaders();
      reply.raw.flushHeaders();
      const signal = AbortSignal.any([deps.closing, clientGone(reply)]);
      await sse2.send(follow2(deps, { feed: feedOf(teamId), teamId, choice, since, keyId, signal }));
    } finally {
      over();
    }
    sse2.close();
    return reply;
  }
  const sse = { kind: "dual", serializer: (data) => String(data) };
  const labels = { additionalProperties: false, patternProperties: { "^label\\.": {} } };
  const response = { 200: { description: "the stream", content: STREAM } };
  const shared = { tags: ["jobs"], description: DESCRIPTION, headers, response };
  app2.get(
    "/jobs/events",
    {
      config: { scope: "jobs:read", doc: { parameters: LIST_PARAMETERS } },
      sse,
      schema: {
        ...shared,
        operationId: "followJobs",
        summary: "All jobs of the team as they change, live (Accept: text/event-stream)",
        querystring: Type20.Object(ChoiceSchema.properties, labels)
      }
    },
    async (request, reply) => stream(request, reply, { teamId: teamOf(request), query: request.query })
  );
  app2.get(
    "/admin/jobs/events",
    {
      config: { scope: "admin", doc: { parameters: LIST_PARAMETERS } },
      sse,
      schema: {
        ...shared,
        tags: ["admin"],
        operationId: "adminFollowJobs",
        summary: "Jobs of all teams, or of one, as they change, live (Accept: text/event-stream)",
        querystring: Type20.Object(
          { ...ChoiceSchema.properties, team: Type20.Optional(Type20.String({ description: "only this team's jobs" })) },
          labels
        )
      }
    },
    async (request, reply) => {
      const { team, ...query } = request.query;
      return stream(request, reply, { teamId: team ?? null, query });
    }
  );
};

// src/api/jobs/submit/index.ts
import { mkdtemp, rm as rm2 } from "node:fs/promises";
import { join as join6 } from "node:path";
import multipart from "@fastify/multipart";
import { Type as Type21 } from "typebox";

// src/fault-injection/kill-point.ts
import { unlinkSync } from "node:fs";
import { join as join2 } from "node:path";
function killPoint(point) {
  const directory = process.env["SPARANK_TEST_KILL"];
  if (directory === void 0) return;
  try {
    unlinkSync(join2(directory, point));
  } catch {
    return;
  }
  process.kill(process.pid, "SIGKILL");
}

// src/jobs/resolve-spec.ts
import { isDeepStrictEqual } from "node:util";
import { Compile as Compile2 } from "typebox/compile";
import Value3 from "typebox/value";
var checker = Compile2(SpecSchema);
var isObject2 = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
function withFirstTarget(given) {
  const spec = structuredClone(given);
  if (!isObject2(spec) || !Array.isArray(spec["targets"]) || spec["targets"].length === 0) return { spec, faults: [] };
  const first = spec["targets"][0];
  if (spec["target"] === void 0) return { spec: { ...spec, target: first }, faults: [] };
  if (isDeepStrictEqual(spec["target"], first)) return { spec, faults: [] };
  return { spec, faults: [{ pointer: "/target", detail: "must be left out, or be the first of `targets`" }] };
}
function withoutCopies(faults, given) {
  if (!isObject2(given) || given["targets"] === void 0 || given["target"] !== void 0) return faults;
  return faults.filter(({ pointer }) => pointer !== "/target" && !pointer.startsWith("/target/"));
}
function resolveSpec(given) {
  const { spec: whole, faults: contradictions } = withFirstTarget(given);
  const spec = Value3.Default(SpecSchema, whole);
  if (contradictions.length === 0 && checker.Check(spec)) return spec;
  const faults = [...contradictions, ...withoutCopies(schemaFaults(SpecSchema, spec), given)];
  const first = faults[0];
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : "";
  const detail = first === void 0 ? "the specification is not valid" : `${first.pointer || "the specification"} ${first.detail}${more}`;
  throw new InputError("invalid_spec", detail, { faults });
}

// src/api/openapi/examples.ts
var SHA2562 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
var UPLOAD = "upl_8x3k2m9q4r7t1v5w6y0z";
var CREATED = "2026-01-31T12:00:00.000Z";
var SPEC_EXAMPLES = {
  smallest: {
    summary: "Uploaded files, and a fourth of the parameters",
    value: {
      model: { upload: UPLOAD },
      calibration: { upload: `sha256:${SHA2562}` },
      target: { parameter_ratio: 4 }
    }
  },
  curve: {
    summary: "Three points of the trade-off curve, held against bounds",
    value: {
      model: { upload: UPLOAD },
      calibration: { url: "https://data.example.org/calibration.npz", sha256: SHA2562 },
      evaluation: { upload: `sha256:${SHA2562}` },
      targets: [{ parameter_ratio: 4 }, { parameter_ratio: 8 }, { speedup: 2 }],
      constraints: { max_accuracy_drop: 0.01 },
      labels: { pipeline: "nightly" },
      webhook: { url: "https://ci.example.org/hooks/sparank" }
    }
  }
};
var EXAMPLES = {
  SpecRequest: [SPEC_EXAMPLES.smallest.value],
  Upload: [
    {
      id: UPLOAD,
      object: "upload",
      sha256: SHA2562,
      bytes: 1048576,
      filename: "model.onnx",
      created_at: CREATED,
      expires_at: "2026-02-07T12:00:00.000Z"
    }
  ],
  Event: [{ id: "7", job_id: "job_5h2k9m3q7r1t4v8w0x6y", type: "job.started", data: {}, created_at: CREATED }],
  QueuePlace: [{ position: 3, reason: "waiting_for_worker", expected_start_seconds: 95 }],
  Problem: [
    {
      type: "urn:sparank:error:invalid_spec",
      title: "The job specification is not valid",
      status: 422,
      detail: "/target/parameter_ratio must be at least 1",
      instance: "/jobs",
      code: "invalid_spec",
      request_id: "0d7c3c1e-55a7-4b0a-9a3c-0a6f2f3f8f8e",
      errors: [{ pointer: "/target/parameter_ratio", detail: "must be at least 1" }]
    }
  ]
};

// src/errors/team-limit.ts
var beyondLimit = (limit, detail) => new InputError("limit_exceeded", `${limit}: ${detail}`, { faults: [{ pointer: `#team/limits/${limit}`, detail }] });

// src/api/uploads/room.ts
var HAS_ROOM_MS = 1e3;
var DELETE = "delete uploads, or jobs with their artifacts";
function tooLarge(config) {
  const detail = `a file may have MAX_UPLOAD_BYTES = ${config.MAX_UPLOAD_BYTES} bytes`;
  return new InputError("payload_too_large", detail, { faults: [{ pointer: "#body", detail }] });
}
async function roomFor({ config, database }, teamId, taken = 0) {
  const { left, largest } = await database.teams.storageRoom(teamId);
  const maxBytes = Math.min(config.MAX_UPLOAD_BYTES, Math.max(left - taken, largest, 1));
  const refusal2 = () => maxBytes < config.MAX_UPLOAD_BYTES ? beyondLimit(
    "storage_bytes",
    `the team may store ${Math.max(0, left - taken)} more bytes, and the file has more; ${DELETE}`
  ) : tooLarge(config);
  return { maxBytes, refusal: refusal2 };
}
function refuseWithoutRoom({ database }) {
  const fine = /* @__PURE__ */ new Map();
  return async (teamId) => {
    if (performance.now() < (fine.get(teamId) ?? 0)) return;
    const { left } = await database.teams.storageRoom(teamId);
    if (left <= 0) {
      fine.delete(teamId);
      throw beyondLimit("storage_bytes", `the team has no room left for the artifacts of a job; ${DELETE}`);
    }
    fine.set(teamId, performance.now() + HAS_ROOM_MS);
  };
}

// src/api/jobs/submit/check.ts
import { LRUCache as LRUCache2 } from "lru-cache";
import PQueue2 from "p-queue";
var KEPT = 256;
var AT_ONCE2 = 2;
var WAITING = 32;
function fingerprint(files, spec) {
  const { target, targets, constraints, method, benchmark } = spec;
  const content = [files.model.sha256, files.calibration.sha256, files.evaluation?.sha256 ?? null];
  return JSON.stringify([content, files.model.filename, target, targets, constraints, method, benchmark]);
}
async function localFiles(files, directory) {
  const [model, calibration, evaluation] = await Promise.all([
    files.model.local(directory, "model"),
    files.calibration.local(directory, "calibration"),
    files.evaluation?.local(directory, "evaluation")
  ]);
  return { model, calibration, ...evaluation === void 0 ? {} : { evaluation } };
}
function fileChecker(check) {
  const results = new LRUCache2({ max: KEPT });
  const queue = new PQueue2({ concurrency: AT_ONCE2 });
  async function run(files, spec, directory) {
    const busy = new InfrastructureError("unavailable", `${queue.size} checks of submitted files wait already`);
    if (queue.size >= WAITING) throw busy;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(busy), CHECK_WAIT_SECONDS * 1e3);
    const begun = async () => {
      clearTimeout(timer);
      return check(await localFiles(files, directory), spec);
    };
    return queue.add(begun, { signal: late.signal });
  }
  return (files, spec, directory) => {
    const key = fingerprint(files, spec);
    const known = results.get(key);
    if (known !== void 0) return known;
    const result = run(files, spec, directory);
    results.set(key, result);
    result.catch(() => results.delete(key));
    return result;
  };
}

// src/api/jobs/submit/multipart.ts
import { createWriteStream as createWriteStream2 } from "node:fs";
import { join as join5 } from "node:path";
import { pipeline as pipeline3 } from "node:stream/promises";

// src/storage/measured-body.ts
import { createHash as createHash3 } from "node:crypto";
import { Transform } from "node:stream";
var Measure = class extends Transform {
  constructor(maxBytes) {
    super();
    this.maxBytes = maxBytes;
  }
  maxBytes;
  bytes = 0;
  #hash = createHash3("sha256");
  _transform(chunk, _encoding, done) {
    this.bytes += chunk.length;
    if (this.bytes > this.maxBytes) {
      done(new InputError("payload_too_large", `the body is larger than ${this.maxBytes} bytes`));
      return;
    }
    this.#hash.update(chunk);
    done(null, chunk);
  }
  result() {
    return { bytes: this.bytes, sha256: this.#hash.digest("hex") };
  }
};

// src/api/json-body.ts
var BYTE_ORDER_MARK = 65279;
function parseJson(text3, pointer) {
  const json = text3.charCodeAt(0) === BYTE_ORDER_MARK ? text3.slice(1) : text3;
  if (json.trim() === "") throw requestFault(pointer, "is empty; it must be JSON");
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw requestFault(pointer, `is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}
function registerJsonBody(app2) {
  app2.addContentTypeParser(
    "application/json",
    { parseAs: "string" },
    async (_request, body) => parseJson(String(body), "#body")
  );
}

// src/api/jobs/submit/boundary.ts
var OTHER = String.raw`(?:\s*;\s*(?!boundary)[\w-]+=[^";\s]*)*`;
var MARKS = "[\\w'()+,./:=?-]";
var BOUNDARY = new RegExp(
  `^multipart/form-data${OTHER}\\s*;\\s*boundary=(?:"((?:${MARKS}| ){0,199}${MARKS})"|(${MARKS}{1,200}))${OTHER}\\s*;?\\s*$`,
  "i"
);
function readBoundary(contentType) {
  const match = BOUNDARY.exec(contentType ?? "");
  return match?.[1] ?? match?.[2] ?? null;
}
function countDelimiters(stream, boundary) {
  const delimiter = Buffer.from(`\r
--${boundary}`, "latin1");
  let rest = Buffer.from("\r\n");
  let found = 0;
  const look = (chunk) => {
    const bytes = Buffer.concat([rest, chunk]);
    let from = 0;
    for (; ; ) {
      const at = bytes.indexOf(delimiter, from);
      const behind = at + delimiter.length;
      if (at < 0 || behind + 2 > bytes.length) {
        rest = bytes.subarray(at < 0 ? Math.max(from, bytes.length - delimiter.length + 1) : at);
        return;
      }
      found++;
      if (bytes.toString("latin1", behind, behind + 2) === "--") {
        stream.off("data", look);
        return;
      }
      from = behind;
    }
  };
  stream.on("data", look);
  return () => found;
}

// src/api/jobs/submit/form-parts.ts
var MOST_PARTS = 8;
var SHOWN_NAME = 100;
var partPointer = (name) => `#part/${name.slice(0, SHOWN_NAME)}`;
var FormParts = class {
  constructor(request) {
    this.request = request;
  }
  request;
  /** The part that is being read. */
  #current = null;
  /** @throws {InputError} invalid_request, for everything that is wrong with the form */
  async *read() {
    const boundary = readBoundary(this.request.headers["content-type"]);
    if (boundary === null) {
      throw requestFault("#header/content-type", "must be multipart/form-data; boundary=\u2026, as it is between the parts");
    }
    const { raw } = this.request;
    if (raw.destroyed && !raw.complete) throw requestFault("#body", "was cut short");
    const delimiters = countDelimiters(raw, boundary);
    let parts = 0;
    for await (const part of this.#parsed()) {
      parts++;
      const name = part.fieldname ?? "";
      if (name === "") throw requestFault("#part", 'has no name: give it Content-Disposition: form-data; name="\u2026"');
      yield { name, filename: part.filename, body: part.file };
    }
    const found = delimiters();
    if (found === 0) {
      throw requestFault("#body", "has no part: its lines must end in CRLF, and the boundary be that of Content-Type");
    }
    if (parts < found - 1) {
      throw requestFault(
        "#body",
        'has a part without readable headers: each needs Content-Disposition: form-data; name="\u2026", and an empty line after its headers'
      );
    }
  }
  /**
   * What to tell the client of an error while a part was read: the form's fault, or the error itself. What the parser says has no
   * code; an error of our own disk has one, and reaches the part as well.
   */
  blame(error) {
    const { code = "" } = error;
    const ofParser = !(error instanceof SparankError) && (code === "" || code.startsWith("FST_"));
    return ofParser && error === this.#current?.errored ? this.#fault(error) : error;
  }
  async *#parsed() {
    const limits2 = { files: MOST_PARTS, parts: MOST_PARTS };
    try {
      for await (const part of this.request.parts({ isPartAFile: () => true, limits: limits2 })) {
        if (part.type !== "file") continue;
        this.#current = part.file;
        yield part;
      }
    } catch (error) {
      throw this.#fault(error);
    }
  }
  #fault(cause) {
    const { raw } = this.request;
    if (raw.destroyed && !raw.complete) return requestFault("#body", "was cut short", cause);
    const { code } = cause;
    if (code === "FST_PROTO_VIOLATION") return requestFault("#part", "has a name that is not known", cause);
    if (code?.startsWith("FST_") === true) return requestFault("#body", "has more parts than there are", cause);
    return requestFault("#body", 'ends before the last boundary, which has "--" behind it', cause);
  }
};

// src/api/jobs/submit/fetch-source.ts
import { createWriteStream } from "node:fs";
import { join as join4 } from "node:path";
import { pipeline as pipeline2 } from "node:stream/promises";

// src/outbound/http-source.ts
import { pipeline } from "node:stream";

// src/outbound/guarded-request.ts
import { lookup } from "node:dns";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { isIP } from "node:net";

// src/outbound/public-address.ts
import { BlockList, isIPv4, isIPv6 } from "node:net";
var SPECIAL_IPV4 = new BlockList();
for (const [network, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  // carrier-grade NAT
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  // link-local, and the clouds' metadata
  ["168.63.129.16", 32],
  // Azure's host, which every machine there reaches
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3]
  // multicast, reserved, broadcast
]) {
  SPECIAL_IPV4.addSubnet(network, bits, "ipv4");
}
var GLOBAL_IPV6 = new BlockList();
GLOBAL_IPV6.addSubnet("2000::", 3, "ipv6");
var SPECIAL_IPV6 = new BlockList();
for (const [network, bits] of [
  ["2001::", 23],
  // Teredo and other protocol assignments
  ["2001:db8::", 32],
  ["2002::", 16],
  // 6to4 carries an IPv4 address
  ["3fff::", 20]
]) {
  SPECIAL_IPV6.addSubnet(network, bits, "ipv6");
}
function isPublicAddress(address) {
  if (isIPv4(address)) return !SPECIAL_IPV4.check(address, "ipv4");
  return isIPv6(address) && GLOBAL_IPV6.check(address, "ipv6") && !SPECIAL_IPV6.check(address, "ipv6");
}

// src/outbound/guarded-request.ts
var SILENCE_MS = 3e4;
function checkOutboundUrl(text3, allowedHosts) {
  if (!URL.canParse(text3)) throw new InputError("invalid_request", "the URL cannot be read");
  const url = new URL(text3);
  const allowed = isAllowed(url, allowedHosts);
  if (url.protocol !== "https:" && !(allowed && url.protocol === "http:")) throw refused(url, "is not https");
  if (url.username !== "" || url.password !== "") throw refused(url, "carries credentials");
  const host2 = url.hostname.replace(/^\[|\]$/g, "");
  if (!allowed && isIP(host2) !== 0 && !isPublicAddress(host2)) throw refused(url, "is not a public address");
  return url;
}
function isAllowed(url, allowedHosts) {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  const names = [url.hostname, `${url.hostname}:${port}`];
  return allowedHosts.split(",").some((host2) => names.includes(host2.trim().toLowerCase()));
}
function guardedLookup(url, options) {
  const allowed = isAllowed(url, options.allowedHosts);
  return (hostname2, settings, done) => {
    (options.resolve ?? lookup)(hostname2, { ...settings, all: true }, (error, addresses) => {
      const first = addresses?.[0];
      if (error || !first) {
        done(error ?? new Error("no address"), "");
        return;
      }
      if (!allowed && !addresses.every(({ address }) => isPublicAddress(address))) {
        done(refused(url, "resolves to an address that is not public"), "");
        return;
      }
      if (settings.all) done(null, addresses);
      else done(null, first.address, first.family);
    });
  };
}
function callOutbound(url, request, options) {
  const silenceMs = options.silenceMs ?? SILENCE_MS;
  return new Promise((resolve2, reject) => {
    const call = (url.protocol === "https:" ? requestHttps : requestHttp)(url, {
      agent: false,
      // a kept connection would not be checked again
      method: request.method,
      headers: { "user-agent": "sparank", ...request.headers },
      lookup: guardedLookup(url, options),
      timeout: silenceMs,
      ...options.signal && { signal: options.signal }
    });
    call.on("timeout", () => call.destroy(unreachable(url, `was silent for ${silenceMs / 1e3} s`)));
    call.on("response", resolve2);
    call.on("error", (error) => {
      if (options.signal?.aborted) reject(options.signal.reason);
      else if (error instanceof InputError || error instanceof InfrastructureError) reject(error);
      else reject(unreachable(url, "cannot be reached", error));
    });
    call.end(request.body);
  });
}
function describeUrl(url) {
  return `${url.protocol}//${url.host}${url.pathname}`;
}
function refused(url, why) {
  return new InputError("invalid_request", `the URL ${describeUrl(url)} ${why}`);
}
function unreachable(url, why, cause) {
  return new InfrastructureError("unavailable", `the URL ${describeUrl(url)} ${why}`, { cause });
}

// src/outbound/http-source.ts
var MAX_REDIRECTS = 5;
var REDIRECTS = [301, 302, 303, 307, 308];
async function downloadSource(url, sha256, options) {
  let at = checkOutboundUrl(url, options.allowedHosts);
  for (let redirects = 0; ; redirects++) {
    const response = await callOutbound(at, { method: "GET", headers: { "accept-encoding": "identity" } }, options);
    const status = response.statusCode ?? 0;
    if (status === 200) return verified(response, at, sha256, options);
    response.destroy();
    const { location } = response.headers;
    if (REDIRECTS.includes(status) && location !== void 0) {
      if (redirects === MAX_REDIRECTS) throw refused(at, `redirects more than ${MAX_REDIRECTS} times`);
      if (!URL.canParse(location, at.href)) throw refused(at, "redirects to something that is not a URL");
      at = checkOutboundUrl(new URL(location, at).href, options.allowedHosts);
    } else if (status >= 500 || status === 429 || status === 408) {
      throw unreachable(at, `answered ${status}`);
    } else {
      throw refused(at, `answered ${status}`);
    }
  }
}
function verified(response, url, sha256, options) {
  const encoding = response.headers["content-encoding"] ?? "identity";
  const bytes = Number(response.headers["content-length"] ?? 0);
  const fault2 = encoding !== "identity" ? refused(url, `answered in the encoding ${encoding}`) : bytes > options.maxBytes ? new InputError("payload_too_large", `${describeUrl(url)} is larger than ${options.maxBytes} bytes`) : void 0;
  if (fault2) {
    response.destroy();
    throw fault2;
  }
  const body = new VerifiedBody(options.maxBytes, sha256.toLowerCase(), describeUrl(url));
  pipeline(response, body, () => void 0);
  return body;
}
var VerifiedBody = class extends Measure {
  constructor(maxBytes, expected, name) {
    super(maxBytes);
    this.expected = expected;
    this.name = name;
  }
  expected;
  name;
  _flush(done) {
    const { sha256 } = this.result();
    if (sha256 === this.expected) done();
    else done(new InputError("digest_mismatch", `${this.name} has the SHA-256 ${sha256}, not ${this.expected}`));
  }
  /** A connection that breaks half-way is worth another attempt. */
  _destroy(error, done) {
    const expected = error === null || error instanceof InputError || error instanceof InfrastructureError;
    super._destroy(
      expected || error.name === "AbortError" ? error : new InfrastructureError("unavailable", `${this.name} broke off`, { cause: error }),
      done
    );
  }
};

// src/api/jobs/submit/source-file.ts
import { createReadStream } from "node:fs";
import { extname, join as join3 } from "node:path";

// src/api/uploads/keep.ts
import { randomUUID as randomUUID2 } from "node:crypto";

// src/jobs/files.ts
var UPLOADS_PREFIX = "uploads/";

// src/api/uploads/keep.ts
async function keepUpload(deps, teamId, incoming) {
  const { storage, database } = deps;
  const key = `${UPLOADS_PREFIX}${teamId}/${randomUUID2()}`;
  const { maxBytes, refusal: refusal2 } = await roomFor(deps, teamId);
  const stored = await storage.put(key, incoming.body, { maxBytes, ...incoming.signal === void 0 ? {} : { signal: incoming.signal } }).catch((error) => {
    if (!(error instanceof SparankError) || error.code !== "payload_too_large") throw error;
    throw refusal2();
  });
  try {
    if (stored.bytes === 0) throw requestFault("#body", "is empty");
    incoming.verify?.(stored.sha256);
    const { upload } = await database.uploads.create(teamId, { ...stored, key, filename: incoming.filename });
    if (upload.key !== key) await keepOne(deps, upload, key);
    return upload;
  } catch (error) {
    if (error instanceof InputError) await storage.delete(key).catch(() => void 0);
    throw error;
  }
}
async function keepOne({ storage, logger }, upload, second) {
  if (!await isStored(storage, upload)) {
    await storage.copy(second, upload.key);
    logger.warn(
      { upload_id: upload.id, key: upload.key },
      "the content of an upload was lost, and has been given again"
    );
  }
  await storage.delete(second);
}

// src/api/jobs/submit/source-file.ts
var PARTS = ["model", "calibration", "evaluation"];
function localName(part, filename) {
  const extension = extname(filename);
  return part + (/^\.[a-z0-9]{1,8}$/i.test(extension) ? extension.toLowerCase() : "");
}
function storedFile({ storage }, upload) {
  return {
    sha256: upload.sha256,
    filename: upload.filename,
    keep: async () => upload,
    local: async (directory, part) => {
      const path = join3(directory, localName(part, upload.filename));
      await storage.download(upload.key, path);
      return path;
    }
  };
}
function receivedFile(deps, teamId, file) {
  return {
    sha256: file.sha256,
    filename: file.filename,
    local: async () => file.path,
    async keep() {
      const known = await deps.database.uploads.findByHash(teamId, file.sha256);
      if (known !== null && await isStored(deps.storage, known)) return known;
      return keepUpload(deps, teamId, { body: createReadStream(file.path), filename: file.filename });
    }
  };
}

// src/api/jobs/submit/fetch-source.ts
async function fetchSource(deps, teamId, { part, source: { url, sha256 }, directory }) {
  const known = await deps.database.uploads.findByHash(teamId, sha256);
  if (known !== null && await isStored(deps.storage, known)) return storedFile(deps, known);
  const refuse = (field, detail, cause) => new InputError("invalid_spec", detail, { faults: [{ pointer: `/${part}/${field}`, detail }], cause });
  const path = join4(directory, `${part}.fetched`);
  const { URL_ALLOWED_HOSTS: allowedHosts, MAX_UPLOAD_BYTES } = deps.config;
  const { maxBytes, refusal: refusal2 } = await roomFor(deps, teamId);
  const signal = AbortSignal.timeout(FETCH_SECONDS * 1e3);
  try {
    const body = await downloadSource(url, sha256, { allowedHosts, maxBytes, signal });
    await pipeline2(body, createWriteStream(path));
  } catch (error) {
    if (signal.aborted) throw refuse("url", `the file did not come within ${FETCH_SECONDS} s; upload it`, error);
    if (!(error instanceof SparankError)) throw refuse("url", "the file could not be fetched", error);
    if (error.code === "payload_too_large") {
      if (maxBytes < MAX_UPLOAD_BYTES) throw refusal2();
      throw refuse("url", `the file is larger than MAX_UPLOAD_BYTES = ${maxBytes} bytes`);
    }
    throw refuse(error.code === "digest_mismatch" ? "sha256" : "url", error.message, error);
  }
  return receivedFile(deps, teamId, { path, filename: fileName(new URL(url)) || part, sha256 });
}
function fileName({ pathname }) {
  const last = pathname.split("/").at(-1) ?? "";
  let name = last;
  try {
    name = decodeURIComponent(last);
  } catch {
  }
  return name.replaceAll(/[^\w.-]/g, "_").slice(-200);
}

// src/api/jobs/submit/sources.ts
var isObject3 = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
function refuseSecondSource(given, part) {
  if (!isObject3(given) || given[part] === void 0 || given[part] === null) return;
  const detail = "is also a part of the form; give one of the two";
  throw new InputError("invalid_spec", `/${part} ${detail}`, { faults: [{ pointer: `/${part}`, detail }] });
}
function nameParts({ given, files }) {
  if (!isObject3(given)) return given;
  const spec = { ...given };
  for (const part of PARTS) {
    const file = files[part];
    if (file === void 0) continue;
    refuseSecondSource(given, part);
    spec[part] = { upload: `sha256:${file.sha256}` };
  }
  return spec;
}
var AWAITED = { upload: `sha256:${"0".repeat(64)}` };
function checkIncomplete(submission) {
  const given = nameParts(submission);
  if (!isObject3(given)) resolveSpec(given);
  else resolveSpec({ ...given, model: given["model"] ?? AWAITED, calibration: given["calibration"] ?? AWAITED });
}
var fetchesFiles = (spec) => PARTS.some((part) => {
  const source = spec[part];
  return source !== void 0 && source !== null && "url" in source;
});
var uploadOf = (uploads, name) => uploads.find(({ id, sha256 }) => name === id || name === `sha256:${sha256}`);
async function openSources(deps, teamId, { spec, files, directory }) {
  const sources = PARTS.flatMap((part) => {
    const source = spec[part];
    return source === void 0 || source === null || files[part] !== void 0 ? [] : [{ part, source }];
  });
  const names = sources.flatMap(({ source }) => "upload" in source ? [source.upload] : []);
  const uploads = names.length === 0 ? [] : await deps.database.uploads.find(teamId, names);
  const open = async ({ part, source }) => {
    if (!("upload" in source)) return [part, await fetchSource(deps, teamId, { part, source, directory })];
    const upload = uploadOf(uploads, source.upload);
    if (upload !== void 0 && await isStored(deps.storage, upload)) return [part, storedFile(deps, upload)];
    const detail = upload === void 0 ? `there is no upload ${source.upload}` : `the content of ${source.upload} was lost; send the file again, then submit the same job`;
    throw new InputError("invalid_spec", detail, { faults: [{ pointer: `/${part}/upload`, detail }] });
  };
  const opened2 = { ...files, ...Object.fromEntries(await Promise.all(sources.map(open))) };
  const { model, calibration, evaluation = null } = opened2;
  if (model === void 0 || calibration === void 0)
    throw new Error("the specification names no model or no samples");
  return { model, calibration, evaluation };
}
async function keepSources(files, spec) {
  const keep = async (file, source) => {
    const { id, key, bytes, sha256, filename } = await file.keep();
    return { input: { key, bytes, sha256, filename }, source: "upload" in source ? { upload: id } : source };
  };
  const model = await keep(files.model, spec.model);
  const calibration = await keep(files.calibration, spec.calibration);
  const evaluation = files.evaluation && spec.evaluation ? await keep(files.evaluation, spec.evaluation) : null;
  return {
    inputs: { model: model.input, calibration: calibration.input, evaluation: evaluation?.input ?? null },
    spec: {
      ...spec,
      model: model.source,
      calibration: calibration.source,
      ...evaluation === null ? {} : { evaluation: evaluation.source }
    }
  };
}

// src/api/jobs/submit/multipart.ts
var isPart = (name) => PARTS.some((part) => part === name);
function parseSpec(text3) {
  const spec = parseJson(text3, "#part/spec");
  checkStorable(spec);
  return spec;
}
var plainName = (name, fallback) => (name.split(/[/\\]/).at(-1) ?? "").replaceAll(/[\u0000-\u001f\u007f]/g, "").slice(0, 255) || fallback;
async function receive(deps, to, { body, filename }, name) {
  const { teamId, directory } = to;
  const { maxBytes, refusal: refusal2 } = await roomFor(deps, teamId, to.taken);
  const measure = new Measure(maxBytes);
  const path = join5(directory, `${name}.part`);
  await pipeline3(body, measure, createWriteStream2(path)).catch((error) => {
    throw error instanceof SparankError && error.code === "payload_too_large" ? refusal2() : error;
  });
  to.taken += measure.bytes;
  if (measure.bytes === 0) throw requestFault(`#part/${name}`, "is empty");
  const { sha256 } = measure.result();
  return receivedFile(deps, teamId, { path, filename: plainName(filename ?? "", name), sha256 });
}
async function readSpec({ body }, maxBytes) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > maxBytes) {
      const detail = `the spec may have MAX_BODY_BYTES = ${maxBytes} bytes`;
      throw new InputError("payload_too_large", detail, { faults: [{ pointer: "#part/spec", detail }] });
    }
    chunks.push(chunk);
  }
  return parseSpec(Buffer.concat(chunks).toString("utf8"));
}
async function readMultipart(deps, teamId, { request, directory }, checkSpec) {
  const submission = { given: void 0, files: {} };
  const seen = /* @__PURE__ */ new Set();
  const to = { teamId, directory, taken: 0 };
  const form = new FormParts(request);
  try {
    for await (const part of form.read()) {
      const { name } = part;
      if (seen.has(name)) throw requestFault(partPointer(name), "is there twice");
      seen.add(name);
      if (name === "spec") {
        submission.given = await readSpec(part, deps.config.MAX_BODY_BYTES);
        checkSpec(submission);
      } else if (!isPart(name)) {
        throw requestFault(partPointer(name), `is not a known part; known are spec, ${PARTS.join(", ")}`);
      } else if (part.filename === void 0) {
        throw requestFault(`#part/${name}`, "must be a file: give it a filename");
      } else {
        refuseSecondSource(submission.given, name);
        submission.files[name] = await receive(deps, to, part, name);
      }
    }
  } catch (error) {
    throw form.blame(error);
  }
  if (submission.given === void 0) throw requestFault("#part/spec", "is required");
  return submission;
}

// src/api/jobs/submit/once.ts
import { createHash as createHash4 } from "node:crypto";
var ACCEPTED = 202;
var MAX_KEY_LENGTH = 255;
var HOLD_MS = 4e3;
function canonical(value) {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1);
  return Object.fromEntries(entries.map(([key, item]) => [key, canonical(item)]));
}
var hashBody = (body) => createHash4("sha256").update(JSON.stringify(canonical(body))).digest("hex");
function readIdempotencyKey(request) {
  const key = request.headers["idempotency-key"]?.toString();
  if (key === void 0) return null;
  if (key.length > 0 && key.length <= MAX_KEY_LENGTH) return key;
  const detail = `must have 1 to ${MAX_KEY_LENGTH} characters`;
  throw new InputError("invalid_request", `Idempotency-Key ${detail}`, {
    faults: [{ pointer: "#header/idempotency-key", detail }]
  });
}
async function once(deps, request, { teamId, key, bodyHash }, make) {
  const { idempotency, jobs } = deps.database;
  const start = await idempotency.begin(teamId, key, bodyHash);
  switch (start.state) {
    case "replay":
      return { view: start.response, replayed: true };
    case "in_flight":
      throw new InputError("idempotency_in_flight", "the first request with this key is not answered yet; try again");
    case "mismatch":
      throw new InputError("idempotency_mismatch", "this key was used with another body; use a new one");
    case "created":
    case "started": {
      const job = await obtain();
      const view = await viewJob(deps.database, job);
      await idempotency.finish(teamId, key, start.token, { statusCode: ACCEPTED, response: view }).catch((error) => {
        request.log.warn({ err: error }, "the answer for an idempotency key was not stored");
      });
      return { view, replayed: start.state === "created" };
    }
  }
  async function obtain() {
    if (start.state === "created") {
      const job = await jobs.get(teamId, start.jobId);
      if (job === null) throw new InputError("conflict", "the job of this idempotency key was deleted");
      return job;
    }
    const token = "token" in start ? start.token : "";
    const hold = setInterval(() => void idempotency.hold(teamId, key, token).catch(() => void 0), HOLD_MS);
    try {
      return await make(token);
    } catch (error) {
      await idempotency.abandon(teamId, key, token).catch(() => void 0);
      throw error;
    } finally {
      clearInterval(hold);
    }
  }
}

// src/api/jobs/submit/webhook.ts
async function checkWebhook({ config, database }, teamId, spec) {
  const url = spec.webhook?.url;
  if (url === void 0) return;
  const refuse = (detail, cause) => new InputError("invalid_spec", detail, { faults: [{ pointer: "/webhook/url", detail }], cause });
  try {
    checkOutboundUrl(url, config.URL_ALLOWED_HOSTS);
  } catch (error) {
    throw error instanceof SparankError ? refuse(error.message, error) : error;
  }
  const [secret, disabled] = await Promise.all([
    database.webhooks.secretInfo(teamId),
    database.webhooks.disabledEndpoints(teamId)
  ]);
  if (secret === null) throw refuse("the team has no signing secret yet: make one with POST /webhooks/secret");
  if (disabled.some((endpoint) => endpoint.url === url)) {
    throw refuse("the endpoint said 410 Gone and is disabled: POST /webhooks/enable-endpoint");
  }
}

// src/api/jobs/submit/index.ts
var FIRST_LOOK_SECONDS = 1;
var SUBMIT_ERRORS = [
  ...["invalid_spec", "invalid_model", "invalid_dataset", "invalid_archive", "unreachable_target"],
  ...["limit_exceeded", "conflict", "idempotency_in_flight", "idempotency_mismatch"]
];
var FilePart = Type21.String({ format: "binary" });
var FormSchema = Type21.Object({
  spec: SpecRequestSchema,
  model: Type21.Optional(FilePart),
  calibration: Type21.Optional(FilePart),
  evaluation: Type21.Optional(FilePart)
});
var DryRunSchema = Type21.Object({
  object: Type21.Literal("dry_run"),
  spec: SpecSchema,
  estimate: Type21.Unknown({ description: "what the check of the files found; null when the service has none" })
});
var submitJob = async (app2, { deps }) => {
  await app2.register(multipart, {
    limits: { fileSize: deps.config.MAX_UPLOAD_BYTES + 1 },
    // The count of bytes in `receive` says which limit it was.
    throwFileSizeLimit: false
  });
  const refuseFull = refuseWithoutRoom(deps);
  const check = deps.checkSubmission === void 0 ? null : fileChecker(deps.checkSubmission);
  app2.post(
    "/jobs",
    {
      config: {
        scope: "jobs:write",
        doc: {
          errors: SUBMIT_ERRORS,
          headers: { 202: ["Location", "Retry-After", "Idempotent-Replayed"] },
          examples: SPEC_EXAMPLES
        }
      },
      validatorCompiler: bodyIsCheckedByHandler,
      schema: {
        operationId: "createJob",
        tags: ["jobs"],
        summary: "Submit a job: the specification as JSON, or a form with the specification and the files",
        description: "With `Idempotency-Key` the same body is accepted once, and the first answer comes again. `dry_run=true` checks and estimates, and stores nothing.",
        querystring: Type21.Object({ dry_run: Type21.Boolean({ default: false }) }, { additionalProperties: false }),
        headers: Type21.Object({
          "idempotency-key": Type21.Optional(
            Type21.String({ description: "1 to 255 characters; with the same body the job is made once" })
          )
        }),
        body: {
          content: { "application/json": { schema: SpecRequestSchema }, "multipart/form-data": { schema: FormSchema } }
        },
        response: { 200: DryRunSchema, 202: JobSchema }
      }
    },
    async (request, reply) => {
      const teamId = teamOf(request);
      const key = readIdempotencyKey(request);
      const directory = await mkdtemp(join6(deps.scratch, "submit-"));
      let over = null;
      try {
        if (request.isMultipart()) over = deps.incoming.add(teamId);
        const submission = request.isMultipart() ? await readMultipart(deps, teamId, { request, directory }, checkIncomplete) : { given: request.body, files: {} };
        const given = nameParts(submission);
        const spec = resolveSpec(given);
        if (fetchesFiles(spec)) over ??= deps.incoming.add(teamId);
        const open = async () => {
          await checkWebhook(deps, teamId, spec);
          const files = await openSources(deps, teamId, { spec, files: submission.files, directory });
          const checked = await check?.(files, spec, directory);
          return { files, estimate: checked?.estimate ?? null };
        };
        if (request.query.dry_run) {
          const { estimate } = await open();
          return await reply.code(200).send({ object: "dry_run", spec, estimate });
        }
        const make = async (idempotencyToken) => {
          await refuseFull(teamId);
          const { files } = await open();
          const kept = await keepSources(files, spec);
          const job = await deps.database.jobs.create(teamId, {
            spec: kept.spec,
            inputs: kept.inputs,
            labels: spec.labels,
            traceparent: request.span?.traceparent ?? null,
            priority: spec.priority,
            deadlineSeconds: spec.deadline_seconds,
            ...idempotencyToken === void 0 ? {} : { idempotencyToken }
          });
          killPoint("job-committed");
          return job;
        };
        const answer2 = key === null ? { view: await viewJob(deps.database, await make()), replayed: false } : await once(deps, request, { teamId, key, bodyHash: hashBody(given) }, make);
        request.log.info({ job_id: answer2.view.id, team_id: teamId, replayed: answer2.replayed }, "job accepted");
        const expected = answer2.view.queue?.expected_start_seconds ?? null;
        if (expected !== null && !answer2.replayed)
          deps.database.predictions.note(answer2.view.id, expected).catch((error) => request.log.debug({ err: error }, "a prediction was not noted"));
        if (answer2.replayed) reply.header("Idempotent-Replayed", "true");
        return await reply.code(202).header("Location", `/jobs/${answer2.view.id}`).header("Retry-After", FIRST_LOOK_SECONDS).send(answer2.view);
      } finally {
        await rm2(directory, { recursive: true, force: true }).finally(() => over?.());
      }
    }
  );
};

// src/api/jobs/index.ts
var jobRoutes = async (app2, options) => {
  for (const route of [
    submitJob,
    listJobs,
    getJob,
    jobLayers,
    jobEvents,
    jobArtifacts,
    jobActions,
    cancelJobs,
    teamEvents
  ]) {
    await app2.register(route, options);
  }
};

// src/api/plugins/compression.ts
import compress from "@fastify/compress";
var LEAST_BYTES = 1024;
async function registerCompression(app2) {
  app2.addHook("onRoute", (route) => {
    if (route.method === "GET" && route.schema?.operationId !== void 0) route.compress ??= {};
  });
  await app2.register(compress, {
    globalCompression: false,
    globalDecompression: false,
    threshold: LEAST_BYTES,
    encodings: ["br", "gzip", "deflate"],
    customTypes: /^(application\/(problem\+)?json|text\/(csv|plain))(;|$)/
  });
}

// src/api/plugins/cross-origin.ts
import cors from "@fastify/cors";

// src/api/openapi/headers.ts
var text2 = (description, required = false) => ({ description, required, schema: { type: "string" } });
var seconds = (description) => ({ description, schema: { type: "integer" } });
var count = (description) => ({ description, schema: { type: "integer" } });
var ANSWER_HEADERS = {
  ETag: text2("for `If-None-Match`"),
  "Last-Modified": text2("when the file was made"),
  "Cache-Control": text2("answers may be kept, but not used without asking"),
  Location: text2("path of what was made"),
  "Content-Location": text2("path of it by its id"),
  "Content-Disposition": text2("the name to save it under"),
  "Content-Range": text2("which bytes these are, of how many"),
  "Accept-Ranges": text2("`bytes`"),
  "Repr-Digest": text2("`sha-256=:\u2026:` of the whole content"),
  "Retry-After": seconds("seconds after which asking again is worth it"),
  "Preference-Applied": text2("the `wait` of `Prefer`, when it was kept to"),
  "Idempotent-Replayed": text2("`true`: the answer that the first request with this key got"),
  "Set-Cookie": text2("the session of the dashboard"),
  "WWW-Authenticate": text2("what to send"),
  "X-Request-Id": text2("the id of the request, as in the logs", true),
  "RateLimit-Limit": count("calls of the key in a minute"),
  "RateLimit-Remaining": count("calls that are left"),
  "RateLimit-Reset": seconds("seconds until the count starts anew")
};
var headersOf = (names) => Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));

// src/api/plugins/cross-origin.ts
var PREFLIGHT_SECONDS = 600;
async function registerCrossOrigin(app2, { CORS_ORIGINS }) {
  const origins = CORS_ORIGINS.split(",").flatMap((origin) => origin.trim() === "" ? [] : [origin.trim()]);
  if (origins.length === 0) return;
  app2.addHook("onRoute", (route) => {
    if (route.method === "OPTIONS" && route.url === "*") route.config = { ...route.config, scope: "public" };
  });
  await app2.register(cors, {
    origin: origins.includes("*") ? "*" : origins,
    credentials: false,
    methods: ["GET", "HEAD", "POST", "PATCH", "DELETE"],
    exposedHeaders: Object.keys(ANSWER_HEADERS),
    maxAge: PREFLIGHT_SECONDS
  });
}

// src/api/plugins/key-lookup.ts
import { setTimeout as setTimeout2 } from "node:timers/promises";
import rateLimit, { normalizeIP } from "@fastify/rate-limit";
var WINDOW_MS = 6e4;
var ADDRESSES = 2e4;
var ADDRESS_LENGTH = 64;
var GATHER_MS = 100;
var GATHERED_KEYS = 1e3;
function gathered(load) {
  let next = null;
  return async (key) => {
    if (next === null) {
      const keys = /* @__PURE__ */ new Set();
      const found = setTimeout2(GATHER_MS).then(() => {
        next = null;
        return load(keys);
      });
      next = { keys, found };
    }
    if (next.keys.size < GATHERED_KEYS) next.keys.add(key);
    return next.found;
  };
}
async function openKeyLookup(app2, { INVALID_KEYS_PER_MINUTE }, keys) {
  await app2.register(rateLimit, {
    global: false,
    timeWindow: WINDOW_MS,
    cache: ADDRESSES,
    max: INVALID_KEYS_PER_MINUTE,
    // Closed connections have no address any more. Of IPv6 addresses the /64 counts: a client has all of it.
    keyGenerator: ({ ip }) => normalizeIP((ip ?? "").slice(0, ADDRESS_LENGTH))
  });
  const tries = app2.createRateLimit();
  const isSuspect = async (request) => {
    const count2 = await tries(request, { increment: false });
    return !count2.isAllowed && count2.remaining === 0;
  };
  const together = gathered((wanted) => {
    const [ids, hashes] = [[...wanted].filter(isKeyId), [...wanted].filter((one) => !isKeyId(one))];
    return keys.findTogether({ ids, hashes });
  });
  return {
    byHash: async (request, hash) => await isSuspect(request) ? (await together(hash)).find((key) => key.hash === hash) ?? null : keys.findByHash(hash),
    byId: async (request, keyId) => await isSuspect(request) ? (await together(keyId)).find(({ id }) => id === keyId) ?? null : keys.findById(keyId),
    async refusal(request, detail) {
      const count2 = await tries(request);
      if (count2.isAllowed || !count2.isExceeded) return new InputError("unauthorized", detail);
      return new InputError(
        "too_many_requests",
        `INVALID_KEYS_PER_MINUTE: more than ${count2.max} keys from this address were not valid; try again in ${count2.ttlInSeconds} seconds, or with a key that is valid`,
        { retryAfterSeconds: count2.ttlInSeconds }
      );
    }
  };
}
var isKeyId = (wanted) => wanted.startsWith("key_");

// src/api/plugins/metrics.ts
import { Gauge, Histogram } from "prom-client";
import { Type as Type22 } from "typebox";
var BUCKETS = [2e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
var TEAMS = 50;
var STORAGE_MS = 3e3;
function registerMetrics(app2, { database, queue, storage, logger, metrics }) {
  const { registry } = metrics;
  const registers = [registry];
  const duration = new Histogram({
    name: "sparank_http_request_duration_seconds",
    help: "Time from the request to the end of its answer",
    labelNames: ["method", "route", "status"],
    buckets: BUCKETS,
    registers
  });
  app2.addHook("onResponse", async (request, reply) => {
    const route = request.is404 ? "none" : request.routeOptions.url ?? "none";
    duration.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1e3);
  });
  const gauge = (name, help, labelNames) => new Gauge({ name, help, labelNames, registers });
  const messages = gauge("sparank_queue_messages", "Task messages in the queue", ["state"]);
  const tasks = gauge("sparank_tasks", "Tasks that are not finished", ["state"]);
  const jobs = gauge("sparank_jobs", "Jobs that are not finished", ["state"]);
  const unmatched = gauge("sparank_tasks_without_worker", "Tasks that no live worker can run", ["state"]);
  const workers = gauge("sparank_workers", "Workers that are alive", ["state", "engine"]);
  const classTasks = gauge("sparank_class_tasks", "Tasks that are not finished, by the workers that run them", [
    "device",
    "class",
    "state"
  ]);
  const teamTasks = gauge("sparank_team_tasks", "Tasks of a team that are not finished", ["team", "state"]);
  const teamJobs = gauge("sparank_team_jobs", "Jobs of a team that are not finished", ["team", "state"]);
  const oldest = gauge("sparank_team_oldest_task_seconds", "Wait of the oldest task that could run", ["team"]);
  const ended = gauge("sparank_jobs_ended_last_hour", "Jobs by how they ended, and whose fault a failure was", [
    "status",
    "origin"
  ]);
  const predictions = gauge(
    "sparank_start_predictions_last_hour",
    "Jobs that started, by how far off the start was that they were told, as a part of the wait",
    ["error", "direction"]
  );
  const webhooks = gauge("sparank_webhooks_pending", "Messages about ended jobs that are not delivered", ["state"]);
  const overdue = gauge("sparank_webhooks_overdue_seconds", "Wait of the oldest message that is due", ["state"]);
  const answers = gauge("sparank_backend_up", "Whether PostgreSQL, queue and storage answered the last question", [
    "backend"
  ]);
  const ofDatabase = [
    tasks,
    unmatched,
    classTasks,
    jobs,
    workers,
    teamTasks,
    teamJobs,
    oldest,
    ended,
    webhooks,
    overdue
  ];
  const set = (target, values) => {
    for (const [state, value] of Object.entries(values)) target.set({ state }, value);
  };
  let lanes = [];
  async function readDatabase() {
    const [pool, backlog, starts] = await Promise.all([
      database.pool.overview(),
      database.pool.backlog(),
      database.predictions.errors()
    ]);
    for (const one of ofDatabase) one.reset();
    const { unmatched: withoutWorker, ...states } = pool.tasks;
    set(tasks, states);
    unmatched.set({ state: "waiting" }, withoutWorker);
    lanes = pool.lanes.map(({ lane }) => lane);
    for (const { count: count2, ...labels } of backlog.classes) classTasks.set(labels, count2);
    set(jobs, pool.jobs);
    for (const engine of new Set(pool.workers.map((worker) => worker.engine))) {
      const those = pool.workers.filter((worker) => worker.engine === engine);
      const busy = those.filter((worker) => worker.busy !== null).length;
      workers.set({ state: "busy", engine }, busy);
      const out = those.filter((worker) => worker.busy === null && worker.trouble !== null).length;
      workers.set({ state: "idle", engine }, those.length - busy - out);
      workers.set({ state: "out_of_service", engine }, out);
    }
    for (const { team, ...values } of boundTeams(backlog.teams)) {
      teamJobs.set({ team, state: "queued" }, values.jobsQueued);
      teamJobs.set({ team, state: "running" }, values.jobsRunning);
      teamTasks.set({ team, state: "waiting" }, values.tasksWaiting);
      teamTasks.set({ team, state: "released" }, values.tasksReleased);
      teamTasks.set({ team, state: "running" }, values.tasksRunning);
      oldest.set({ team }, values.oldestSeconds);
    }
    for (const { status, origin, count: count2 } of backlog.endedLastHour) ended.set({ status, origin }, count2);
    for (const { error, direction, count: count2 } of starts) predictions.set({ error, direction }, count2);
    webhooks.set({ state: "pending" }, backlog.webhooks.pending);
    overdue.set({ state: "pending" }, backlog.webhooks.overdueSeconds);
  }
  const readQueue = async () => set(messages, await queue.depth(lanes));
  const attempt = async (backend, read, gauges) => {
    try {
      await read();
      answers.set({ backend }, 1);
    } catch (error) {
      answers.set({ backend }, 0);
      for (const one of gauges) one.reset();
      logger.warn({ err: error }, `metrics without ${backend}`);
    }
  };
  async function look() {
    await Promise.all([
      attempt("postgres", readDatabase, ofDatabase),
      attempt("queue", readQueue, [messages]),
      attempt("storage", () => within(storage.check(), STORAGE_MS), [])
    ]);
    return registry.metrics();
  }
  let underWay = null;
  app2.get(
    "/metrics",
    {
      config: { scope: "public" },
      schema: {
        operationId: "getMetrics",
        tags: ["service"],
        summary: "Prometheus metrics",
        security: [],
        produces: ["text/plain"],
        response: { 200: { description: "Prometheus text", content: { "text/plain": { schema: Type22.String() } } } }
      }
    },
    async (_request, reply) => {
      underWay ??= look().finally(() => underWay = null);
      return reply.type(registry.contentType).send(await underWay);
    }
  );
}
function boundTeams(teams) {
  const named = teams.slice(0, TEAMS).map(({ teamId, ...values }) => ({ team: teamId, ...values }));
  const rest = teams.slice(TEAMS);
  if (rest.length === 0) return named;
  const sum = (value) => rest.reduce((total, team) => total + value(team), 0);
  return [
    ...named,
    {
      team: "other",
      jobsQueued: sum((team) => team.jobsQueued),
      jobsRunning: sum((team) => team.jobsRunning),
      tasksWaiting: sum((team) => team.tasksWaiting),
      tasksReleased: sum((team) => team.tasksReleased),
      tasksRunning: sum((team) => team.tasksRunning),
      oldestSeconds: Math.max(...rest.map((team) => team.oldestSeconds))
    }
  ];
}

// src/api/openapi/index.ts
import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import { Type as Type23 } from "typebox";

// src/api/openapi/components.ts
import { isDeepStrictEqual as isDeepStrictEqual2 } from "node:util";

// src/api/openapi/plain-schema.ts
var isObject4 = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
var mapValues = (given, change) => Object.fromEntries(Object.entries(isObject4(given) ? given : {}).map(([name, value]) => [name, change(value)]));
function asEnum(schema) {
  const { anyOf, ...rest } = schema;
  const members = Array.isArray(anyOf) ? anyOf.filter(isObject4) : [];
  const constants = members.map((member) => member["const"]);
  const values = members.length > 0 && constants.every((value) => value !== void 0) ? constants : Array.isArray(schema["enum"]) ? schema["enum"] : null;
  if (values === null) return schema;
  if (values.every((value) => typeof value === "string")) return { type: "string", enum: values, ...without(rest) };
  if (values.every((value) => Number.isInteger(value))) return { type: "integer", enum: values, ...without(rest) };
  return schema;
}
var without = ({ type: _type, enum: _enum, ...rest }) => rest;
function asRecord(schema) {
  const { patternProperties, properties, additionalProperties, ...rest } = schema;
  const [entry, ...more] = Object.entries(isObject4(patternProperties) ? patternProperties : {});
  const closed = additionalProperties === void 0 || additionalProperties === false || isNever(additionalProperties);
  if (entry === void 0 || more.length > 0 || properties !== void 0 || !closed) return schema;
  const [pattern, value] = entry;
  const anyName = pattern === "^.*$" || pattern === "^(.*)$";
  return { ...rest, additionalProperties: value, ...anyName ? {} : { propertyNames: { pattern } } };
}
var isNever = (value) => isObject4(value) && isObject4(value["not"]) && Object.keys(value["not"]).length === 0;
function withoutDefaulted(schema) {
  const { required, ...rest } = schema;
  const properties = isObject4(schema["properties"]) ? schema["properties"] : {};
  if (!Array.isArray(required)) return schema;
  const left = required.filter((name) => {
    const property = properties[name];
    return !isObject4(property) || property["default"] === void 0;
  });
  return left.length === 0 ? rest : { ...rest, required: left };
}
function titled({ $id: id, ...rest }) {
  return typeof id === "string" ? { ...rest, title: id } : rest;
}
function plainSchema(given, direction) {
  if (!isObject4(given)) return given;
  const inner = (value) => plainSchema(value, direction);
  const schema = titled(given);
  for (const word of ["properties", "patternProperties"])
    if (schema[word] !== void 0) schema[word] = mapValues(schema[word], inner);
  for (const word of ["items", "additionalProperties", "not"])
    if (schema[word] !== void 0) schema[word] = inner(schema[word]);
  for (const word of ["anyOf", "allOf", "oneOf", "prefixItems"]) {
    const members = schema[word];
    if (Array.isArray(members)) schema[word] = members.map(inner);
  }
  const record = asRecord(asEnum(schema));
  if (direction === "sent") return withoutDefaulted(record);
  const { default: _default, ...answered } = record;
  return answered;
}
function plainContent(given, direction) {
  if (!isObject4(given) || !isObject4(given["content"])) return plainSchema(given, direction);
  const media = (value) => isObject4(value) ? { ...value, schema: plainSchema(value["schema"], direction) } : value;
  return { ...given, content: mapValues(given["content"], media) };
}

// src/api/openapi/components.ts
var Components = class {
  schemas = {};
  /** Everything that is answered comes before anything that is sent. */
  named(value, direction) {
    if (Array.isArray(value)) return value.map((item) => this.named(item, direction));
    if (!isObject4(value)) return value;
    const schema = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.named(item, direction)]));
    const { title } = schema;
    if (typeof title !== "string") return schema;
    return { $ref: `#/components/schemas/${this.#keep(title, schema, direction)}` };
  }
  #keep(title, schema, direction) {
    for (const name of direction === "sent" ? [title, `${title}Request`] : [title]) {
      const whole = { ...schema, title: name, ...name in EXAMPLES ? { examples: EXAMPLES[name] } : {} };
      const known = this.schemas[name];
      if (known !== void 0 && !isDeepStrictEqual2(known, whole)) continue;
      this.schemas[name] = whole;
      return name;
    }
    throw new Error(`two schemas have the name ${title}`);
  }
};

// src/api/openapi/operation.ts
var ROUTE = "x-route";
var LIMITS = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"];
var LABELS = {
  in: "query",
  name: "labels",
  description: "Sent as `label.<key>=<value>`, as often as wanted (the name of this parameter is not sent): all of them must match.",
  required: false,
  style: "form",
  explode: true,
  schema: {
    type: "object",
    propertyNames: { pattern: "^label\\.[A-Za-z0-9_.-]{1,64}$" },
    additionalProperties: { type: "string", maxLength: 256 }
  }
};
var FORM_ENCODING = {
  spec: { contentType: "application/json" },
  model: { contentType: "application/octet-stream" },
  calibration: { contentType: "application/octet-stream" },
  evaluation: { contentType: "application/octet-stream" }
};
var UNSAID = "Default Response";
var MEANING = { 200: "as it is now", 201: "made", 202: "accepted", 503: "not ready" };
function errorsOf({ scopes, errors = [] }, hasBody) {
  const always = ["invalid_request", "internal", "unavailable"];
  const keyed = scopes.length === 0 ? [] : ["unauthorized", "forbidden", "too_many_requests"];
  const body = hasBody ? ["payload_too_large", "unsupported_media_type"] : [];
  return [.../* @__PURE__ */ new Set([...always, ...keyed, ...body, ...errors])];
}
function problemsOf(route, hasBody) {
  const codes = errorsOf(route, hasBody);
  const statuses = [...new Set(codes.map(statusOf))].sort((a, b) => a - b);
  return Object.fromEntries(
    statuses.map((status) => {
      const those = codes.filter((code) => statusOf(code) === status);
      const headers2 = ["X-Request-Id"];
      if (status === 401) headers2.push("WWW-Authenticate");
      if (status === 429 || status === 503) headers2.push("Retry-After");
      const content = { [PROBLEM_TYPE]: { schema: plainSchema(ProblemSchema, "answered") } };
      const description = `\`code\` is ${those.map((code) => `\`${code}\``).join(" or ")}`;
      return [String(status), { description, headers: headersOf(headers2), content }];
    })
  );
}
function answersOf(operation2, route) {
  const answers = isObject4(operation2["responses"]) ? operation2["responses"] : {};
  return Object.fromEntries(
    Object.entries(answers).map(([status, answer2]) => {
      const own = route.headers?.[Number(status)] ?? [];
      const headers2 = headersOf([...own, "X-Request-Id", ...route.scopes.length === 0 ? [] : LIMITS]);
      const { description, ...known } = isObject4(answer2) ? answer2 : {};
      const more = route.streams?.[Number(status)];
      const content = more === void 0 ? {} : { content: { ...known["content"], ...more } };
      const said = description === UNSAID ? MEANING[status] ?? "the answer" : description;
      return [status, { ...known, description: said, headers: headers2, ...content }];
    })
  );
}
function bodyOf(body, { multipart: multipart2, examples }) {
  if (!isObject4(body) || !isObject4(body["content"])) return {};
  const { content } = body;
  const encoded = Object.entries(content).map(([type, media]) => {
    const shown = examples !== void 0 && type === "application/json" ? { examples } : {};
    const parts = multipart2 && type === "multipart/form-data" ? { encoding: FORM_ENCODING } : {};
    return [type, { ...media, ...shown, ...parts }];
  });
  return { requestBody: { ...body, content: Object.fromEntries(encoded) } };
}
function describeOperation(method, operation2) {
  const { [ROUTE]: given, requestBody: requestBody2, parameters, ...rest } = operation2;
  const route = given;
  const own = (Array.isArray(parameters) ? parameters : []).map((one) => ({
    ...one,
    ...route.parameters?.[String(one["name"])]
  }));
  const listed = route.labels ? [...own, LABELS] : own;
  return {
    ...rest,
    // One handler may answer both methods.
    operationId: method === "head" ? `${route.operationId}Head` : route.operationId,
    "x-scopes": route.scopes,
    ...listed.length === 0 ? {} : { parameters: listed },
    ...bodyOf(requestBody2, route),
    responses: { ...problemsOf(route, requestBody2 !== void 0), ...answersOf(operation2, route) }
  };
}

// src/api/openapi/index.ts
var DOCS_POLICY = {
  "default-src": "'self'",
  "base-uri": "'self'",
  "frame-ancestors": "'self'",
  "img-src": "'self' data:",
  "object-src": "'none'",
  "script-src-attr": "'none'",
  "style-src": "'self' 'unsafe-inline'"
};
var DESCRIPTION2 = `Compresses trained convolutional networks: submit a model, poll the job, download the smaller model.

\`x-scopes\` of a call: a key needs one of them. Errors are \`application/problem+json\`; programs look at \`code\`. Bodies are sent as
they are: one with a \`Content-Encoding\` is 415 at every call. What is not HTTP is answered before any call is found: 408, 414 or 431.`;
var scopesOf = (scope) => scope === void 0 || scope === "public" ? [] : typeof scope === "string" ? [scope] : scope;
var mapEntries = (given, change) => Object.fromEntries(Object.entries(isObject4(given) ? given : {}).map(([name, value]) => [name, change(value)]));
function describeRoute(schema, config) {
  const { operationId = "", body, querystring, params: params6, headers: headers2, response, ...rest } = schema;
  const route = {
    ...config.doc,
    operationId,
    scopes: scopesOf(config.scope),
    labels: isObject4(querystring) && querystring["patternProperties"] !== void 0,
    multipart: isObject4(body) && isObject4(body["content"]) && "multipart/form-data" in body["content"]
  };
  const sent = Object.entries({ body, querystring, params: params6, headers: headers2 }).filter(([, part]) => part !== void 0);
  return {
    ...rest,
    ...Object.fromEntries(sent.map(([name, part]) => [name, plainContent(part, "sent")])),
    ...response === void 0 ? {} : { response: mapEntries(response, (one) => plainContent(one, "answered")) },
    [ROUTE]: route
  };
}
function describeAll({ paths, components, ...rest }) {
  const operations = mapEntries(
    paths,
    (item) => Object.fromEntries(
      Object.entries(item).map(([method, operation2]) => [method, describeOperation(method, operation2)])
    )
  );
  const named = new Components();
  const answered = (item) => mapEntries(item, (operation2) => {
    const { responses, ...request } = operation2;
    return { ...request, responses: named.named(responses, "answered") };
  });
  const sent = (item) => mapEntries(item, (operation2) => {
    const { responses, ...request } = operation2;
    return { ...named.named(request, "sent"), responses };
  });
  const whole = mapEntries(mapEntries(operations, answered), sent);
  return {
    ...rest,
    paths: whole,
    components: { ...components, headers: ANSWER_HEADERS, schemas: named.schemas }
  };
}
async function registerOpenApi(app2, version2) {
  await app2.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Sparank",
        version: version2,
        description: DESCRIPTION2,
        license: { name: "Apache-2.0", identifier: "Apache-2.0" }
      },
      servers: [
        { url: "/", description: "the service that this document came from" },
        { url: "http://127.0.0.1:8080", description: "`sparank start` on this machine" }
      ],
      tags: [
        { name: "uploads", description: "files that jobs use" },
        { name: "jobs", description: "compression jobs and what they make" },
        { name: "webhooks", description: "messages about ended jobs, by the Standard Webhooks specification" },
        { name: "pool", description: "the shared workers" },
        { name: "teams", description: "teams, their keys, limits and usage" },
        { name: "admin", description: "what operators do across teams" },
        { name: "service", description: "health and metrics" }
      ],
      components: { securitySchemes: { key: { type: "http", scheme: "bearer", description: "an API key" } } },
      security: [{ key: [] }]
    },
    transform: ({ schema, url, route }) => ({ schema: describeRoute(schema, route.config ?? {}), url }),
    transformObject: (document2) => "openapiObject" in document2 ? describeAll(document2.openapiObject) : document2.swaggerObject
  });
  let document;
  app2.get(
    "/openapi.json",
    {
      config: { scope: "public" },
      schema: {
        operationId: "getOpenApi",
        tags: ["service"],
        summary: "This description",
        security: [],
        response: { 200: Type23.Object({}, { description: "OpenAPI 3.1", additionalProperties: true }) }
      }
    },
    async (_request, reply) => {
      document ??= JSON.stringify(app2.swagger());
      return reply.type("application/json; charset=utf-8").serializer((text3) => text3).send(document);
    }
  );
  await app2.register(async (ui) => {
    ui.addHook("onRoute", (route) => {
      route.config = { ...route.config, scope: "public" };
    });
    await ui.register(swaggerUi, {
      routePrefix: "/docs",
      staticCSP: DOCS_POLICY,
      // By default the page shows this document to a service of others.
      uiConfig: { validatorUrl: null }
    });
  });
}

// src/api/plugins/rate-limit.ts
import rateLimit2 from "@fastify/rate-limit";
import { Redis } from "ioredis";

// src/observability/error-text.ts
var DEEPEST = 5;
function errorText(error, depth = 0) {
  if (!(error instanceof Error)) return String(error);
  const own = error.message.trim() === "" ? namedBy(error, depth) : error.message;
  if (error.cause === void 0 || depth >= DEEPEST) return own;
  const cause = errorText(error.cause, depth + 1);
  return own.includes(cause) ? own : `${own}: ${cause}`;
}
function namedBy(error, depth) {
  if (error instanceof AggregateError && error.errors.length > 0 && depth < DEEPEST)
    return [...new Set(error.errors.map((one) => errorText(one, depth + 1)))].join("; ");
  const { code } = error;
  return code ?? error.name;
}

// src/queue/redis-trouble.ts
function redisTrouble(what, logger) {
  let reason = null;
  return {
    watch(redis) {
      redis.on("error", (error) => {
        if (reason === null) logger.warn({ err: error }, `${what} has no Redis: ${errorText(error)}`);
        reason = error;
      });
      redis.on("ready", () => {
        if (reason !== null) logger.info(`${what} has its Redis again`);
        reason = null;
      });
    },
    get reason() {
      return reason;
    }
  };
}

// src/api/plugins/rate-limit.ts
var WINDOW_MS2 = 6e4;
var ANSWER_MS = 250;
var SILENCE_MS2 = 2e3;
var NAMESPACE = "sparank-requests-";
function connect(app2, url) {
  const redis = new Redis(url, {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    connectTimeout: 5e3,
    commandTimeout: ANSWER_MS,
    socketTimeout: SILENCE_MS2
  });
  redisTrouble("the rate limiter", app2.log).watch(redis);
  app2.addHook("onClose", async () => redis.disconnect());
  return redis;
}
async function registerRateLimit(app2, { REDIS_URL, REQUESTS_PER_MINUTE }) {
  await app2.register(rateLimit2, {
    global: true,
    hook: "onRequest",
    enableDraftSpec: true,
    skipOnError: true,
    timeWindow: WINDOW_MS2,
    ...REDIS_URL === void 0 ? {} : { redis: connect(app2, REDIS_URL), nameSpace: NAMESPACE },
    keyGenerator: (request) => request.caller?.keyId ?? "",
    allowList: (request) => request.caller === null,
    max: (request) => request.caller?.requestsPerMinute ?? REQUESTS_PER_MINUTE,
    errorResponseBuilder: (_request, { max, ttl }) => new InputError(
      "too_many_requests",
      `requests_per_minute: the key has made its ${max} calls of this minute; try again in ${Math.ceil(ttl / 1e3)} seconds`
    )
  });
}

// src/api/pool/index.ts
import { Type as Type24 } from "typebox";

// src/api/teams/access.ts
var SELF = "self";
var isAdmin = (request) => callerFrom(request).scopes.includes("admin");
function teamInPath(request, id) {
  const { teamId } = callerFrom(request);
  if (id === SELF || id === teamId) return teamId;
  if (isAdmin(request)) return id;
  throw notFound("team");
}

// src/api/pool/index.ts
var Count = Type24.Integer();
var PoolSchema = Type24.Object(
  {
    workers: Type24.Array(WorkerSchema),
    classes: Type24.Array(
      Type24.Object({
        engine: Type24.String(),
        ...Offer,
        workers: Count,
        slots: Count,
        running_tasks: Count,
        released_tasks: Count
      }),
      { description: "the workers by what they have" }
    ),
    queue: Type24.Object({
      jobs: Type24.Object({ queued: Count, running: Count }),
      tasks: Type24.Object({
        waiting: Count,
        released: Count,
        running: Count,
        unmatched: Type24.Integer({ description: "those of the waiting ones that no live worker can run" })
      })
    }),
    own: Type24.Array(Type24.Object({ job_id: Type24.String(), place: PlaceSchema }), {
      description: "this team's queued jobs, the next one first"
    }),
    teams: Type24.Array(
      Type24.Object({
        team_id: Type24.String(),
        weight: Type24.Number(),
        share: Type24.Number({ description: "part of the running tasks, 0..1" }),
        running_tasks: Count,
        waiting_tasks: Count,
        queued_jobs: Count
      }),
      { description: "the own team; with the scope admin, all of them. `queue` has everybody's sums" }
    )
  },
  { $id: "Pool" }
);
var OWN_JOBS = 20;
var poolRoutes = async (app2, { deps }) => {
  const { database } = deps;
  app2.get(
    "/pool",
    {
      config: { scope: "jobs:read" },
      schema: {
        operationId: "getPool",
        tags: ["pool"],
        summary: "Workers, queue depth, own position and share; with the scope admin, the share of every team and the job of every worker",
        response: { 200: PoolSchema }
      }
    },
    async (request) => {
      const teamId = teamOf(request);
      const admin = isAdmin(request);
      const [pool, queued] = await Promise.all([
        database.pool.overview(),
        database.jobs.list(teamId, { status: ["queued"], limit: OWN_JOBS })
      ]);
      const places = await Promise.all(queued.data.map((job) => database.jobs.place(job)));
      const own = queued.data.flatMap(({ id }, i) => {
        const place = places[i];
        return place === void 0 ? [] : [{ job_id: id, place: presentPlace(place) }];
      });
      const running = pool.teams.reduce((sum, team) => sum + team.runningTasks, 0);
      return {
        workers: pool.workers.map((worker) => presentWorker(worker, { teamId, admin })),
        classes: pool.lanes.map((lane) => ({
          engine: lane.engine,
          class: lane.class,
          device_memory_bytes: lane.deviceMemoryBytes,
          workers: lane.workers,
          slots: lane.slots,
          running_tasks: lane.running,
          released_tasks: lane.released
        })),
        queue: { jobs: pool.jobs, tasks: pool.tasks },
        own: own.sort((a, b) => a.place.position - b.place.position),
        teams: pool.teams.filter((team) => team.teamId === teamId || admin).map((team) => ({
          team_id: team.teamId,
          weight: team.weight,
          share: running === 0 ? 0 : team.runningTasks / running,
          running_tasks: team.runningTasks,
          waiting_tasks: team.waitingTasks,
          queued_jobs: team.queuedJobs
        }))
      };
    }
  );
};

// src/api/plugins/request-log.ts
import { LogController } from "fastify";
var PROBES = /* @__PURE__ */ new Set(["/healthz", "/readyz", "/metrics"]);
var PATH_LENGTH = 300;
var QuietLogController = class extends LogController {
  incomingRequest() {
  }
  requestCompleted() {
  }
  routeNotFound() {
  }
};
var told = /* @__PURE__ */ new WeakSet();
function logRequest(request, reply, aborted = false) {
  if (told.has(request)) return;
  told.add(request);
  const route = request.is404 ? "none" : request.routeOptions.url ?? "none";
  const level = PROBES.has(route) ? "debug" : reply.statusCode >= 500 && !aborted ? "warn" : "info";
  request.log[level](
    {
      method: request.method,
      route,
      path: request.url.split("?")[0]?.slice(0, PATH_LENGTH),
      // Nobody saw a status.
      status: aborted ? null : reply.statusCode,
      duration_ms: Math.round(reply.elapsedTime * 10) / 10,
      team_id: request.caller?.teamId ?? null,
      key_prefix: request.caller?.keyPrefix ?? null,
      address: request.ip
    },
    aborted ? "request: the client went away" : "request"
  );
}
function registerRequestLog(app2) {
  app2.addHook("onResponse", async (request, reply) => logRequest(request, reply));
  app2.addHook("onRequestAbort", async (request) => {
    const reply = replies.get(request);
    if (reply !== void 0) logRequest(request, reply, !reply.raw.headersSent);
  });
  const replies = /* @__PURE__ */ new WeakMap();
  app2.addHook("onRequest", async (request, reply) => void replies.set(request, reply));
}

// src/api/plugins/tracing.ts
var PROBES2 = /* @__PURE__ */ new Set(["/healthz", "/readyz", "/metrics"]);
function registerTracing(app2, telemetry) {
  app2.decorateRequest("span", null);
  app2.addHook("onRequest", async (request) => {
    const route = request.is404 ? "none" : request.routeOptions.url ?? "none";
    if (PROBES2.has(route)) return;
    const given = request.headers["traceparent"];
    request.span = telemetry.start(`${request.method} ${route}`, {
      kind: "server",
      parent: typeof given === "string" ? given : null,
      attributes: {
        "http.request.method": request.method,
        "http.route": route,
        "sparank.request_id": request.id
      }
    });
  });
  app2.addHook("onResponse", async (request, reply) => {
    const fault2 = reply.statusCode >= 500 ? `answered ${reply.statusCode}` : void 0;
    request.span?.end({ "http.response.status_code": reply.statusCode }, fault2);
  });
  app2.addHook("onRequestAbort", async (request) => request.span?.end({}, "the client went away"));
}

// src/api/session/index.ts
import { Type as Type25 } from "typebox";
var BODY_BYTES = 2048;
var SessionSchema = Type25.Object(
  {
    object: Type25.Literal("session"),
    team: Type25.Object({ id: Type25.String(), name: Type25.String() }),
    key: Type25.Object({
      id: Type25.String(),
      prefix: Type25.String({ description: "first characters of the key" }),
      scopes: Type25.Array(Type25.Enum([...SCOPES]))
    }),
    expires_at: Nullable(Time),
    version: Type25.String({ description: "of the service" })
  },
  { $id: "Session" }
);
var sessionRoutes = async (app2, { deps, version: version2 }) => {
  async function view(key, until) {
    const team = await deps.database.teams.get(key.teamId);
    return {
      object: "session",
      team: { id: key.teamId, name: team?.name ?? key.teamId },
      key: { id: key.id, prefix: key.prefix, scopes: key.scopes },
      expires_at: until?.toISOString() ?? null,
      version: version2
    };
  }
  const opened2 = (request, reply, key) => {
    reply.header("Set-Cookie", sessionCookie(request, PAGE_SESSION, key));
    return new Date(Date.now() + PAGE_SESSION.seconds * 1e3);
  };
  app2.addHook("onSend", async (_request, reply) => void reply.header("Cache-Control", "no-store"));
  app2.post(
    "/session",
    {
      config: { scope: "public", doc: { errors: ["unauthorized", "forbidden"], headers: { 201: ["Set-Cookie"] } } },
      bodyLimit: BODY_BYTES,
      schema: {
        operationId: "logIn",
        tags: ["service"],
        summary: "Log a browser in: the answer sets a cookie that stands for the key",
        description: "HttpOnly, SameSite=Strict, and good until it is over or the key is revoked. With it, calls that change something must come from a page of this origin.",
        security: [],
        body: Type25.Object({ key: Type25.String({ maxLength: 512 }) }, { additionalProperties: false }),
        response: { 201: SessionSchema }
      }
    },
    async (request, reply) => {
      refuseForeign(request);
      const key = await deps.keyLookup.byHash(request, hashKey(request.body.key.trim()));
      if (key === null) {
        request.log.warn("a login to the dashboard was refused");
        throw await deps.keyLookup.refusal(request, NOT_VALID);
      }
      if (key.scopes.includes("admin"))
        await deps.database.audit.note(
          { action: "dashboard.login", teamId: null, subject: key.id },
          { keyId: key.id, keyPrefix: key.prefix, teamId: key.teamId, requestId: request.id, address: request.ip }
        );
      return reply.code(201).send(await view(key, opened2(request, reply, key)));
    }
  );
  app2.get(
    "/session",
    {
      config: { scope: SCOPES, doc: { headers: { 200: ["Set-Cookie"] } } },
      schema: {
        operationId: "getSession",
        tags: ["service"],
        summary: "Who calls: team, scopes, and until when; a cookie of which half is over is renewed",
        response: { 200: SessionSchema }
      }
    },
    async (request, reply) => {
      const { keyId, keyPrefix } = actorOf(request);
      const { scopes, teamId } = callerFrom(request);
      const caller = { id: keyId, prefix: keyPrefix, teamId, scopes };
      const session = request.headers.authorization === void 0 ? await openSession(request, PAGE_SESSION, deps.keyLookup) : null;
      if (session === null) return view(caller, null);
      const left = session.until.getTime() - Date.now();
      return view(caller, left < PAGE_SESSION.seconds * 500 ? opened2(request, reply, session.key) : session.until);
    }
  );
  app2.delete(
    "/session",
    {
      config: { scope: "public", doc: { errors: ["forbidden"], headers: { 204: ["Set-Cookie"] } } },
      schema: {
        operationId: "logOut",
        tags: ["service"],
        summary: "Log the browser out",
        security: [],
        response: { 204: Type25.Null({ description: "the cookie is gone" }) }
      }
    },
    async (request, reply) => {
      refuseForeign(request);
      return reply.header("Set-Cookie", endedCookie(request, PAGE_SESSION)).code(204).send(null);
    }
  );
};

// src/api/teams/index.ts
import { Type as Type29 } from "typebox";

// src/api/teams/keys.ts
import { Type as Type27 } from "typebox";

// src/api/new-key.ts
import { randomBytes as randomBytes2 } from "node:crypto";
var KEY_BYTES = 32;
var PREFIX_LENGTH = 8;
var newKey = () => `spk_${randomBytes2(KEY_BYTES).toString("base64url")}`;
var visiblePrefix = (key) => key.slice(0, PREFIX_LENGTH);

// src/api/teams/schema.ts
import { Type as Type26 } from "typebox";
var Count2 = (description) => Nullable(Type26.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description }));
var Small = (description) => Nullable(Type26.Integer({ minimum: 1, maximum: 2 ** 31 - 1, description }));
var limits = {
  running_tasks: Small("tasks that run at once; null: MAX_RUNNING_TASKS"),
  queued_jobs: Small("jobs queued or running; null: MAX_QUEUED_JOBS"),
  storage_bytes: Count2("uploads and artifacts; null: MAX_STORAGE_BYTES"),
  requests_per_minute: Small("calls of each key; null: REQUESTS_PER_MINUTE")
};
var Name = Type26.String({ minLength: 1, maxLength: 100, pattern: "^[^\\u0000-\\u001f\\u007f]+$" });
var Weight = Type26.Number({ minimum: 0.01, maximum: 1e3, description: "share of the pool relative to other teams" });
var TeamSchema = Type26.Object(
  {
    id: Type26.String(),
    object: Type26.Literal("team"),
    name: Type26.String(),
    weight: Weight,
    limits: Type26.Object(limits),
    created_at: Time
  },
  { $id: "Team" }
);
var LimitsChange = Type26.Partial(Type26.Object(limits, { additionalProperties: false }), {
  additionalProperties: false
});
var NewTeamSchema = Type26.Object(
  { name: Name, weight: Type26.Optional(Weight), limits: Type26.Optional(LimitsChange) },
  { additionalProperties: false }
);
var TeamChangeSchema = Type26.Object(
  { name: Type26.Optional(Name), weight: Type26.Optional(Weight), limits: Type26.Optional(LimitsChange) },
  { additionalProperties: false, minProperties: 1 }
);
var Scope = Type26.Enum([...SCOPES]);
var KeySchema = Type26.Object(
  {
    id: Type26.String(),
    object: Type26.Literal("api_key"),
    team_id: Type26.String(),
    name: Type26.String(),
    prefix: Type26.String({ description: "first characters of the key, to recognise it by" }),
    scopes: Type26.Array(Scope),
    created_at: Time,
    expires_at: Nullable(Time),
    last_used_at: Nullable(Type26.String({ format: "date-time", description: "to the minute" })),
    revoked_at: Nullable(Time)
  },
  { $id: "ApiKey" }
);
var NewKeySchema = Type26.Object(
  {
    name: Name,
    scopes: Type26.Array(Scope, { minItems: 1, uniqueItems: true }),
    expires_at: Type26.Optional(Nullable(Type26.String({ description: "RFC 3339; null or absent: never" })))
  },
  { additionalProperties: false }
);
var MadeKeySchema = Type26.Object(
  { ...KeySchema.properties, key: Type26.String({ description: "shown this once, and nowhere stored" }) },
  { $id: "NewApiKey" }
);
var presentTeam = (team) => ({
  id: team.id,
  object: "team",
  name: team.name,
  weight: team.weight,
  limits: {
    running_tasks: team.limits.runningTasks,
    queued_jobs: team.limits.queuedJobs,
    storage_bytes: team.limits.storageBytes,
    requests_per_minute: team.limits.requestsPerMinute
  },
  created_at: team.createdAt.toISOString()
});
function readLimits(given = {}) {
  const { running_tasks, queued_jobs, storage_bytes, requests_per_minute } = given;
  return {
    ...running_tasks === void 0 ? {} : { runningTasks: running_tasks },
    ...queued_jobs === void 0 ? {} : { queuedJobs: queued_jobs },
    ...storage_bytes === void 0 ? {} : { storageBytes: storage_bytes },
    ...requests_per_minute === void 0 ? {} : { requestsPerMinute: requests_per_minute }
  };
}
var presentKey = (key) => ({
  id: key.id,
  object: "api_key",
  team_id: key.teamId,
  name: key.name,
  prefix: key.prefix,
  scopes: key.scopes,
  created_at: key.createdAt.toISOString(),
  expires_at: key.expiresAt?.toISOString() ?? null,
  last_used_at: key.lastUsedAt?.toISOString() ?? null,
  revoked_at: key.revokedAt?.toISOString() ?? null
});

// src/api/teams/keys.ts
var TeamId = Type27.String({ description: "a team's id, or `self` for the key's own team" });
var teamParams = Type27.Object({ id: TeamId });
var keyParams = Type27.Object({ id: TeamId, key_id: Type27.String() });
function refuseAdminKey(request, scopes) {
  if (!scopes.includes("admin") || isAdmin(request)) return;
  throw new InputError("forbidden", "a key with the scope admin is only for keys with the scope admin");
}
function readExpiry(given) {
  if (given === void 0 || given === null) return null;
  const time = readTime(given, "/expires_at");
  if (time.getTime() > Date.now()) return time;
  const detail = "must be in the future";
  throw new InputError("invalid_request", `/expires_at ${detail}`, { faults: [{ pointer: "/expires_at", detail }] });
}
var keyRoutes = async (app2, { deps }) => {
  const { keys, teams } = deps.database;
  async function team(request, id) {
    const teamId = teamInPath(request, id);
    if (await teams.get(teamId) === null) throw notFound("team");
    return teamId;
  }
  app2.post(
    "/teams/:id/keys",
    {
      config: {
        scope: ["admin", "team:admin"],
        doc: { errors: ["not_found"], headers: { 201: ["Location", "Cache-Control"] } }
      },
      schema: {
        operationId: "createKey",
        tags: ["teams"],
        summary: "Make a key; the answer is the only place that shows it",
        params: teamParams,
        body: NewKeySchema,
        response: { 201: MadeKeySchema }
      }
    },
    async (request, reply) => {
      const { name, scopes, expires_at } = request.body;
      refuseAdminKey(request, scopes);
      const teamId = await team(request, request.params.id);
      const key = newKey();
      const made = await keys.create(
        teamId,
        { hash: hashKey(key), prefix: visiblePrefix(key), name, scopes, expiresAt: readExpiry(expires_at) },
        actorOf(request)
      );
      return reply.code(201).header("Location", `/teams/${teamId}/keys/${made.id}`).header("Cache-Control", "no-store").send({ ...presentKey(made), key });
    }
  );
  app2.get(
    "/teams/:id/keys",
    {
      config: { scope: ["admin", "team:admin"], doc: { errors: ["not_found"] } },
      schema: {
        operationId: "listKeys",
        tags: ["teams"],
        summary: "The keys of a team, oldest first, those that are revoked or have expired too",
        params: teamParams,
        querystring: Type27.Object(
          { limit: Limit, after: Type27.Optional(Type27.String()) },
          { additionalProperties: false }
        ),
        response: { 200: PageOf(KeySchema, "ApiKeyPage") }
      }
    },
    async (request) => {
      const { limit, after } = request.query;
      const teamId = await team(request, request.params.id);
      if (after !== void 0 && await keys.get(teamId, after) === null) throw badCursor("key");
      const { data, hasMore } = await keys.list(teamId, { limit, ...after === void 0 ? {} : { after } });
      return page(data, hasMore, presentKey, ({ id }) => id);
    }
  );
  app2.get(
    "/teams/:id/keys/:key_id",
    {
      config: { scope: ["admin", "team:admin"], doc: { errors: ["not_found"] } },
      schema: {
        operationId: "getKey",
        tags: ["teams"],
        summary: "A key, without the key itself",
        params: keyParams,
        response: { 200: KeySchema }
      }
    },
    async (request) => {
      const key = await keys.get(teamInPath(request, request.params.id), request.params.key_id);
      if (key === null) throw notFound("key");
      return presentKey(key);
    }
  );
  app2.delete(
    "/teams/:id/keys/:key_id",
    {
      config: { scope: ["admin", "team:admin"], doc: { errors: ["not_found"] } },
      schema: {
        operationId: "revokeKey",
        tags: ["teams"],
        summary: "Revoke a key: the next request with it is refused; again is fine",
        params: keyParams,
        response: { 200: KeySchema }
      }
    },
    async (request) => {
      const teamId = teamInPath(request, request.params.id);
      const key = await keys.get(teamId, request.params.key_id);
      if (key === null) throw notFound("key");
      refuseAdminKey(request, key.scopes);
      const revoked = await keys.revoke(teamId, key.id, actorOf(request));
      if (revoked === null) throw notFound("key");
      return presentKey(revoked);
    }
  );
};

// src/api/teams/remove.ts
import { Type as Type28 } from "typebox";
var BATCH = 500;
var removeTeam = async (app2, { deps }) => {
  const { database, storage } = deps;
  app2.delete(
    "/teams/:id",
    {
      config: { scope: "admin", doc: { errors: ["not_found", "conflict"] } },
      schema: {
        operationId: "deleteTeam",
        tags: ["teams"],
        summary: "Remove a team with its keys, jobs, uploads, artifacts and webhooks; its usage stays",
        description: "Its keys are refused from then on. 409 while jobs of it have not ended, unless `cancel_jobs` says that they are to be canceled; nobody is told of their end. When it was interrupted, call it again.",
        params: Type28.Object({ id: Type28.String() }),
        querystring: Type28.Object({ cancel_jobs: Type28.Boolean({ default: false }) }, { additionalProperties: false }),
        response: { 204: Type28.Null({ description: "removed" }) }
      }
    },
    async (request, reply) => {
      const { id } = request.params;
      if (id === teamOf(request)) throw new InputError("conflict", "the team of the key that calls cannot be removed");
      const options = { cancelJobs: request.query.cancel_jobs };
      if (!await database.teams.close(id, options, actorOf(request))) throw notFound("team");
      const gone = (work, file) => (
        // The janitor takes what is left.
        work.catch((error) => request.log.warn({ err: error, file }, "a file could not be deleted"))
      );
      for (; ; ) {
        const { prefixes, keys } = await database.teams.clear(id, BATCH);
        if (prefixes.length + keys.length === 0) break;
        for (const prefix of prefixes) await gone(storage.deletePrefix(prefix), prefix);
        for (const key of keys) await gone(storage.delete(key), key);
      }
      await database.teams.drop(id);
      return reply.code(204).send(null);
    }
  );
};

// src/api/teams/index.ts
var params4 = Type29.Object({ id: Type29.String({ description: "a team's id, or `self` for the key's own team" }) });
var InUse = Type29.Object({
  running_tasks: Type29.Integer(),
  queued_jobs: Type29.Integer(),
  storage_bytes: Type29.Integer()
});
var TeamAndUse = Type29.Object({ ...TeamSchema.properties, in_use: InUse }, { $id: "TeamInUse" });
var teamRoutes = async (app2, options) => {
  const { teams } = options.deps.database;
  await app2.register(keyRoutes, options);
  await app2.register(removeTeam, options);
  app2.post(
    "/teams",
    {
      config: { scope: "admin", doc: { errors: ["conflict"], headers: { 201: ["Location"] } } },
      schema: {
        operationId: "createTeam",
        tags: ["teams"],
        summary: "Make a team",
        body: NewTeamSchema,
        response: { 201: TeamSchema }
      }
    },
    async (request, reply) => {
      const { name, weight = 1, limits: limits2 } = request.body;
      const team = await teams.create({ name, weight, limits: readLimits(limits2) }, actorOf(request));
      return reply.code(201).header("Location", `/teams/${team.id}`).send(presentTeam(team));
    }
  );
  app2.get(
    "/teams",
    {
      config: { scope: ["admin", "team:admin"] },
      schema: {
        operationId: "listTeams",
        tags: ["teams"],
        summary: "All teams, oldest first; without the scope admin, the own one",
        querystring: Type29.Object(
          { limit: Limit, after: Type29.Optional(Type29.String()) },
          { additionalProperties: false }
        ),
        response: { 200: PageOf(TeamSchema, "TeamPage") }
      }
    },
    async (request) => {
      const { limit, after } = request.query;
      if (!isAdmin(request)) {
        const own = await teams.get(teamOf(request));
        return page(own === null || after !== void 0 ? [] : [own], false, presentTeam, ({ id }) => id);
      }
      if (after !== void 0 && await teams.get(after) === null) throw badCursor("team");
      const { data, hasMore } = await teams.list({ limit, ...after === void 0 ? {} : { after } });
      return page(data, hasMore, presentTeam, ({ id }) => id);
    }
  );
  app2.get(
    "/teams/:id",
    {
      config: { scope: ["admin", "team:admin"], doc: { errors: ["not_found"] } },
      schema: {
        operationId: "getTeam",
        tags: ["teams"],
        summary: "A team with its limits, and what is in use of them",
        params: params4,
        response: { 200: TeamAndUse }
      }
    },
    async (request) => {
      const team = await teams.get(teamInPath(request, request.params.id));
      if (team === null) throw notFound("team");
      const { runningTasks, openJobs, storageBytes } = await teams.usage(team.id);
      return {
        ...presentTeam(team),
        in_use: { running_tasks: runningTasks, queued_jobs: openJobs, storage_bytes: storageBytes }
      };
    }
  );
  app2.patch(
    "/teams/:id",
    {
      config: { scope: "admin", doc: { errors: ["not_found", "conflict"] } },
      schema: {
        operationId: "updateTeam",
        tags: ["teams"],
        summary: "Change name, weight or limits; what is not given stays, a limit of null is the setting of the service",
        params: params4,
        body: TeamChangeSchema,
        response: { 200: TeamSchema }
      }
    },
    async (request) => {
      const { name, weight, limits: limits2 } = request.body;
      const change = {
        ...name === void 0 ? {} : { name },
        ...weight === void 0 ? {} : { weight },
        limits: readLimits(limits2)
      };
      const team = await teams.update(teamInPath(request, request.params.id), change, actorOf(request));
      if (team === null) throw notFound("team");
      return presentTeam(team);
    }
  );
};

// src/api/uploads/index.ts
import { Readable } from "node:stream";
import { Type as Type31 } from "typebox";

// src/api/uploads/request-body.ts
import { PassThrough } from "node:stream";
var LINGER_MS = 5e3;
function requestBody(request) {
  const body = new PassThrough();
  body.on("error", () => void 0);
  const cutShort = () => {
    if (!request.complete) body.destroy(requestFault("#body", "was cut short"));
  };
  request.once("error", cutShort);
  request.once("close", cutShort);
  if (request.destroyed) cutShort();
  body.once("close", () => {
    if (request.complete || request.destroyed) return;
    request.resume();
    const linger = setTimeout(() => request.destroy(), LINGER_MS);
    request.once("close", () => clearTimeout(linger));
    request.once("end", () => clearTimeout(linger));
  });
  request.pipe(body);
  return body;
}

// src/api/uploads/schema.ts
import { Type as Type30 } from "typebox";
var UploadSchema = Type30.Object(
  {
    id: Type30.String(),
    object: Type30.Literal("upload"),
    sha256: Type30.String({ description: "hex" }),
    bytes: Type30.Integer(),
    filename: Type30.String(),
    created_at: Time,
    expires_at: Time
  },
  { $id: "Upload" }
);
var Filename = Type30.String({ minLength: 1, maxLength: 255, pattern: "^[^/\\\\\\u0000-\\u001f\\u007f]+$" });
var presentUpload = (upload) => ({
  id: upload.id,
  object: "upload",
  sha256: upload.sha256,
  bytes: upload.bytes,
  filename: upload.filename,
  created_at: upload.createdAt.toISOString(),
  expires_at: upload.expiresAt.toISOString()
});

// src/api/uploads/index.ts
var BY_HASH = /^sha256:([0-9a-f]{64})$/;
function refuseForm(request) {
  if (!/^multipart\//i.test(request.headers["content-type"] ?? "")) return;
  throw unsupported("#header/content-type", "send the file itself as the body; POST /jobs takes multipart/form-data");
}
var uploadRoutes = async (app2, { deps }) => {
  app2.removeAllContentTypeParsers();
  app2.addContentTypeParser("*", (request, _payload, done) => done(null, requestBody(request.raw)));
  async function receive2(request, body, keep) {
    const teamId = teamOf(request);
    let over;
    try {
      over = deps.incoming.add(teamId);
    } catch (error) {
      body.destroy();
      throw error;
    }
    return keep(teamId).finally(over);
  }
  app2.post(
    "/uploads",
    {
      config: {
        scope: "jobs:write",
        doc: { errors: ["digest_mismatch", "limit_exceeded"], headers: { 201: ["Location"] } }
      },
      // It is a stream.
      validatorCompiler: bodyIsCheckedByHandler,
      bodyLimit: deps.config.MAX_UPLOAD_BYTES,
      schema: {
        operationId: "createUpload",
        tags: ["uploads"],
        summary: "Send a file: the raw body, hashed while it streams to storage",
        description: "The same content of a team is stored once. `Repr-Digest: sha-256=:...:` is verified when it is sent.",
        body: { content: { "application/octet-stream": { schema: Type31.String({ format: "binary" }) } } },
        headers: Type31.Object({
          "repr-digest": Type31.Optional(
            Type31.String({ description: "`sha-256=:<base64>:` of the body, which is held against it" })
          )
        }),
        querystring: Type31.Object({ filename: Type31.Optional(Filename) }, { additionalProperties: false }),
        response: { 201: UploadSchema }
      },
      // Before a byte of the body is read.
      onRequest: async (request) => {
        refuseForm(request);
        if (Number(request.headers["content-length"] ?? 0) > deps.config.MAX_UPLOAD_BYTES) throw tooLarge(deps.config);
      }
    },
    async (request, reply) => {
      const announced = readReprDigest(request.headers["repr-digest"]?.toString());
      const { body } = request;
      if (!(body instanceof Readable)) throw requestFault("#body", "is empty");
      const verify = (sha256) => {
        if (announced === null || announced === sha256) return;
        const detail = `Repr-Digest announces sha-256 ${announced}, the body has ${sha256}`;
        throw new InputError("digest_mismatch", detail, { faults: [{ pointer: "#header/repr-digest", detail }] });
      };
      const upload = await receive2(
        request,
        body,
        async (teamId) => keepUpload(deps, teamId, { body, filename: request.query.filename ?? "upload.bin", verify })
      );
      return reply.code(201).header("Location", `/uploads/${upload.id}`).send(presentUpload(upload));
    }
  );
  app2.get(
    "/uploads/:id",
    {
      config: {
        scope: "jobs:read",
        doc: { errors: ["not_found", "gone"], headers: { 200: ["Content-Location", "Repr-Digest"] } }
      },
      schema: {
        operationId: "getUpload",
        tags: ["uploads"],
        summary: "An upload, by its id or as sha256:<hex>; HEAD tells whether it need not be sent again",
        description: "Content that the storage has lost is 410 by its id and 404 as sha256:<hex>, until it is sent again.",
        params: Type31.Object({ id: Type31.String() }),
        response: { 200: UploadSchema }
      }
    },
    async (request, reply) => {
      const { id } = request.params;
      const hash = BY_HASH.exec(id)?.[1];
      const { uploads } = deps.database;
      const upload = await (hash === void 0 ? uploads.get(teamOf(request), id) : uploads.findByHash(teamOf(request), hash));
      if (upload === null) throw notFound("upload");
      if (!await isStored(deps.storage, upload)) {
        if (hash !== void 0) throw notFound("upload");
        throw new InfrastructureError("gone", "the content of this upload was lost; send the file again");
      }
      return reply.header("Content-Location", `/uploads/${upload.id}`).header("Repr-Digest", formatReprDigest(upload.sha256)).send(presentUpload(upload));
    }
  );
  app2.delete(
    "/uploads/:id",
    {
      config: { scope: "jobs:write", doc: { errors: ["not_found", "conflict"] } },
      schema: {
        operationId: "deleteUpload",
        tags: ["uploads"],
        summary: "Remove an upload; 409 while a job that has not ended reads it",
        description: "A job that has ended keeps its artifacts, but cannot be tried again without its uploads.",
        params: Type31.Object({ id: Type31.String() }),
        response: { 204: Type31.Null() }
      }
    },
    async (request, reply) => {
      const removed = await deps.database.uploads.remove(teamOf(request), request.params.id);
      if (removed === null) throw notFound("upload");
      await deps.storage.delete(removed.key).catch((error) => request.log.warn({ err: error, key: removed.key }, "a file was left"));
      return reply.code(204).send(null);
    }
  );
};

// src/api/usage/index.ts
import { Type as Type33 } from "typebox";

// src/api/usage/schema.ts
import { stringify } from "csv-stringify/sync";
import { Type as Type32 } from "typebox";
var sums = {
  jobs: Type32.Integer({ description: "submitted on the day" }),
  tasks: Type32.Integer({ description: "attempts that ended" }),
  device_seconds: Type32.Number({ description: "by the day on which an attempt ended" }),
  upload_bytes: Type32.Integer({ description: "stored by uploads, which belong to no job" }),
  artifact_bytes: Type32.Integer({ description: "of the artifacts that jobs made" })
};
var UsageRowSchema = Type32.Object(
  {
    day: Nullable(Type32.String({ description: "UTC" })),
    team_id: Nullable(Type32.String()),
    job_id: Nullable(Type32.String()),
    label: Nullable(Type32.String({ description: "value of the label; null for what does not have it" })),
    ...sums
  },
  { $id: "UsageRow" }
);
var UsageSchema = Type32.Object(
  {
    from: Type32.String(),
    to: Type32.String(),
    by: Type32.Array(Type32.Enum([...USAGE_GROUPS])),
    data: Type32.Array(UsageRowSchema, { description: "a group that was not asked for is null" }),
    total: Type32.Object(sums)
  },
  { $id: "Usage" }
);
var presentUsage = (row) => ({
  day: row.day,
  team_id: row.teamId,
  job_id: row.jobId,
  label: row.label,
  jobs: row.jobs,
  tasks: row.tasks,
  device_seconds: row.deviceSeconds,
  upload_bytes: row.uploadBytes,
  artifact_bytes: row.artifactBytes
});
function totalOf(rows) {
  const sum = (of) => rows.reduce((total, row) => total + of(row), 0);
  return {
    jobs: sum((row) => row.jobs),
    tasks: sum((row) => row.tasks),
    device_seconds: sum((row) => row.device_seconds),
    upload_bytes: sum((row) => row.upload_bytes),
    artifact_bytes: sum((row) => row.artifact_bytes)
  };
}
var usageCsv = (rows) => stringify(rows, {
  header: true,
  columns: Object.keys(UsageRowSchema.properties),
  escape_formulas: true,
  record_delimiter: "windows"
});

// src/api/usage/index.ts
var DAY_MS = 864e5;
var MOST_DAYS = 366;
var DEFAULT_DAYS = 30;
var MOST_ROWS2 = 5e4;
var ALL = "all";
var isGroup = (name) => USAGE_GROUPS.some((group) => group === name);
function readGroups(given, label) {
  const names = given.split(",");
  const groups = names.map((name) => {
    if (!isGroup(name)) throw queryFault("by", `must be one or more of ${USAGE_GROUPS.join(", ")}, with commas`);
    return name;
  });
  if (groups.includes("label") !== (label !== void 0))
    throw queryFault("label", "goes together with by=label, and names the label");
  return [...new Set(groups)];
}
var isoDay = (time) => new Date(time).toISOString().slice(0, 10);
function readDay(name, given, fallback) {
  if (given === void 0) return fallback;
  const time = Date.parse(`${given}T00:00:00Z`);
  if (/^\d{4}-\d{2}-\d{2}$/.test(given) && isStorableTime(time) && isoDay(time) === given) return time;
  throw queryFault(name, "must be a day such as 2026-01-31");
}
function readDays(query) {
  const today = Date.now() - Date.now() % DAY_MS;
  const to = readDay("to", query.to, today);
  const from = readDay("from", query.from, to - (DEFAULT_DAYS - 1) * DAY_MS);
  if (from > to) throw queryFault("from", "must not be after `to`");
  if (to - from >= MOST_DAYS * DAY_MS) throw queryFault("from", `at most ${MOST_DAYS} days can be asked for`);
  return { from: isoDay(from), to: isoDay(to) };
}
var usageRoutes = async (app2, { deps }) => {
  async function teamAsked(request, given) {
    if (given === void 0) return callerFrom(request).teamId;
    if (given === ALL) {
      if (isAdmin(request)) return null;
      throw new InputError("forbidden", "team=all needs the scope admin");
    }
    const teamId = teamInPath(request, given);
    if (await deps.database.teams.get(teamId) === null) throw notFound("team");
    return teamId;
  }
  app2.get(
    "/usage",
    {
      config: { scope: ["jobs:read", "team:admin", "admin"], doc: { errors: ["not_found", "limit_exceeded"] } },
      schema: {
        operationId: "getUsage",
        tags: ["teams"],
        summary: "Device seconds, jobs and bytes, by day, team, job and label",
        description: "Of the key's own team; with the scope admin, `team` names another one, or `all`. What a deleted job used stays. `format=csv` (or `Accept: text/csv`) gives the rows as CSV.",
        querystring: Type33.Object(
          {
            from: Type33.Optional(Type33.String({ description: "first UTC day; default: 30 days up to `to`" })),
            to: Type33.Optional(Type33.String({ description: "last UTC day, included; default: today" })),
            by: Type33.String({ default: "day", description: `one or more of ${USAGE_GROUPS.join(", ")}, with commas` }),
            label: Type33.Optional(Type33.String({ maxLength: 64, description: "name of the label, for by=label" })),
            team: Type33.Optional(Type33.String()),
            format: Type33.Optional(Type33.Enum(["json", "csv"]))
          },
          { additionalProperties: false }
        ),
        response: {
          200: {
            description: "the sums",
            content: { "application/json": { schema: UsageSchema }, "text/csv": { schema: Type33.String() } }
          }
        }
      }
    },
    async (request, reply) => {
      const { query } = request;
      const by = readGroups(query.by, query.label);
      const { from, to } = readDays(query);
      const teamId = await teamAsked(request, query.team);
      const found = await deps.database.usage.sum(teamId, {
        from,
        to,
        by,
        label: query.label ?? null,
        limit: MOST_ROWS2 + 1
      });
      if (found.length > MOST_ROWS2)
        throw new InputError("limit_exceeded", `these are more than ${MOST_ROWS2} rows; ask for fewer days or groups`);
      const rows = found.map(presentUsage);
      const csv = query.format === void 0 ? prefers(request, "text/csv", "application/json") : query.format === "csv";
      if (!csv) return reply.send({ from, to, by, data: rows, total: totalOf(rows) });
      return reply.type("text/csv; charset=utf-8").header("Content-Disposition", `attachment; filename="usage-${from}-${to}.csv"`).send(usageCsv(rows));
    }
  );
};

// src/api/web/index.ts
import { randomBytes as randomBytes3 } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join as join7 } from "node:path";
import { fileURLToPath } from "node:url";
import fastifyStatic from "@fastify/static";
var PLACES = ["../../web/", "../../../dist/web/"].map((path) => fileURLToPath(new URL(path, import.meta.url)));
var PREFIX2 = "/ui/";
var NONCE = "__NONCE__";
var YEAR_MS = 365 * 24 * 36e5;
var policy = (nonce) => [
  "default-src 'self'",
  "script-src 'self'",
  `style-src 'self' 'nonce-${nonce}'`,
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'"
].join("; ");
var webRoutes = async (app2) => {
  app2.addHook("onRoute", (route) => {
    route.config = { ...route.config, scope: "public" };
    route.schema = { ...route.schema, hide: true };
  });
  const root = PLACES.find((place) => existsSync(join7(place, "index.html")));
  const page2 = root === void 0 ? null : await readFile(join7(root, "index.html"), "utf8");
  const show = async (_request, reply) => {
    if (page2 === null) throw new InputError("not_found", "the dashboard is not built: run `npm run build`");
    const nonce = randomBytes3(16).toString("base64url");
    return reply.header("Content-Security-Policy", policy(nonce)).header("Cache-Control", "no-store").type("text/html; charset=utf-8").send(page2.replaceAll(NONCE, nonce));
  };
  app2.get("/", show);
  app2.get(`${PREFIX2}*`, show);
  if (root === void 0) return;
  await app2.register(fastifyStatic, {
    root: join7(root, "assets"),
    prefix: `${PREFIX2}assets/`,
    preCompressed: true,
    index: false,
    immutable: true,
    maxAge: YEAR_MS
  });
};

// src/api/webhooks/index.ts
import { Type as Type34 } from "typebox";

// src/outbound/webhook-signature.ts
import { createHmac as createHmac2, randomBytes as randomBytes4 } from "node:crypto";
var PREFIX3 = "whsec_";
var SECRET_BYTES = 32;
var newSecret = () => `${PREFIX3}${randomBytes4(SECRET_BYTES).toString("base64")}`;

// src/api/webhooks/index.ts
var OVERLAP_SECONDS = 24 * 3600;
var SecretInfo = Type34.Object(
  {
    created_at: Time,
    previous_valid_until: Nullable(Time)
  },
  { $id: "WebhookSecret" }
);
var DeliverySchema = Type34.Object(
  {
    id: Type34.String({ description: "the `webhook-id`, the same at every attempt" }),
    object: Type34.Literal("webhook_delivery"),
    job_id: Type34.String(),
    url: Type34.String(),
    type: Type34.String(),
    state: Type34.Enum([...DELIVERY_STATES], {
      description: "failed: given up after the last attempt; disabled: the endpoint said 410 Gone"
    }),
    attempts: Type34.Integer(),
    next_attempt_at: Nullable(Time),
    created_at: Time,
    finished_at: Nullable(Time)
  },
  { $id: "WebhookDelivery" }
);
var AttemptSchema = Type34.Object({
  at: Time,
  status: Nullable(Type34.Integer()),
  error: Nullable(Type34.String()),
  duration_ms: Type34.Integer(),
  snippet: Nullable(Type34.String({ description: "the beginning of the answer" }))
});
var presentDelivery = (delivery) => ({
  id: delivery.id,
  object: "webhook_delivery",
  job_id: delivery.jobId,
  url: delivery.url,
  type: delivery.type,
  state: delivery.state,
  attempts: delivery.attempts,
  next_attempt_at: delivery.nextAt?.toISOString() ?? null,
  created_at: delivery.createdAt.toISOString(),
  finished_at: delivery.finishedAt?.toISOString() ?? null
});
var presentAttempt = (attempt) => ({
  at: attempt.at.toISOString(),
  status: attempt.status,
  error: attempt.error,
  duration_ms: attempt.durationMs,
  snippet: attempt.snippet
});
var tags = ["webhooks"];
var params5 = Type34.Object({ id: Type34.String() });
var webhookRoutes = async (app2, { deps }) => {
  const { webhooks } = deps.database;
  app2.get(
    "/webhooks/secret",
    {
      config: { scope: "jobs:read", doc: { errors: ["not_found"] } },
      schema: {
        operationId: "getWebhookSecret",
        tags,
        summary: "The team's signing secret: since when; never the secret itself",
        response: { 200: SecretInfo }
      }
    },
    async (request) => {
      const info = await webhooks.secretInfo(teamOf(request));
      if (info === null) throw notFound("signing secret: make one with POST /webhooks/secret");
      return {
        created_at: info.createdAt.toISOString(),
        previous_valid_until: info.previousUntil?.toISOString() ?? null
      };
    }
  );
  app2.post(
    "/webhooks/secret",
    {
      config: { scope: "jobs:write", doc: { headers: { 201: ["Cache-Control"] } } },
      schema: {
        operationId: "rotateWebhookSecret",
        tags,
        summary: "Make or rotate the team's signing secret; it is shown this once",
        description: "Messages are signed with the old one as well for a day.",
        response: { 201: Type34.Object({ secret: Type34.String({ description: "whsec_\u2026" }) }) }
      }
    },
    async (request, reply) => {
      const secret = newSecret();
      await webhooks.rotateSecret(teamOf(request), secret, OVERLAP_SECONDS);
      return reply.code(201).header("Cache-Control", "no-store").send({ secret });
    }
  );
  app2.get(
    "/webhooks/deliveries",
    {
      config: { scope: "jobs:read" },
      schema: {
        operationId: "listDeliveries",
        tags,
        summary: "Messages about ended jobs, newest first",
        querystring: Type34.Object(
          {
            limit: Limit,
            after: Type34.Optional(Type34.String({ description: "`next` of the page before" })),
            job_id: Type34.Optional(Type34.String()),
            state: Type34.Optional(Type34.Enum([...DELIVERY_STATES]))
          },
          { additionalProperties: false }
        ),
        response: { 200: PageOf(DeliverySchema, "WebhookDeliveryPage") }
      }
    },
    async (request) => {
      const { limit, after, job_id, state } = request.query;
      const found = await webhooks.list(teamOf(request), {
        limit,
        ...after === void 0 ? {} : { after },
        ...job_id === void 0 ? {} : { jobId: job_id },
        ...state === void 0 ? {} : { state }
      });
      if (found === null) {
        const detail = "the message that the cursor names is not there (any more)";
        throw new InputError("invalid_request", detail, { faults: [{ pointer: "#query/after", detail }] });
      }
      const data = found.data.map(presentDelivery);
      return { data, has_more: found.hasMore, next: found.hasMore ? data.at(-1)?.id ?? null : null };
    }
  );
  app2.get(
    "/webhooks/deliveries/:id",
    {
      config: { scope: "jobs:read", doc: { errors: ["not_found"] } },
      schema: {
        operationId: "getDelivery",
        tags,
        summary: "One message with the log of its attempts, oldest first",
        params: params5,
        response: {
          200: Type34.Object({ ...DeliverySchema.properties, log: Type34.Array(AttemptSchema) })
        }
      }
    },
    async (request) => {
      const found = await webhooks.get(teamOf(request), request.params.id);
      if (found === null) throw notFound("webhook delivery");
      return { ...presentDelivery(found.delivery), log: found.log.map(presentAttempt) };
    }
  );
  app2.post(
    "/webhooks/deliveries/:id/replay",
    {
      config: { scope: "jobs:write", doc: { errors: ["not_found", "conflict"] } },
      schema: {
        operationId: "replayDelivery",
        tags,
        summary: "Send a message again, now, with the same id and body; its schedule starts anew",
        params: params5,
        response: { 202: DeliverySchema }
      }
    },
    async (request, reply) => {
      const delivery = await webhooks.replay(teamOf(request), request.params.id);
      if (delivery === null) throw notFound("webhook delivery");
      return reply.code(202).send(presentDelivery(delivery));
    }
  );
  app2.get(
    "/webhooks/disabled-endpoints",
    {
      config: { scope: "jobs:read" },
      schema: {
        operationId: "listDisabledEndpoints",
        tags,
        summary: "Endpoints that said 410 Gone: they are sent nothing",
        response: {
          200: Type34.Object({ data: Type34.Array(Type34.Object({ url: Type34.String(), disabled_at: Time })) })
        }
      }
    },
    async (request) => {
      const disabled = await webhooks.disabledEndpoints(teamOf(request));
      return { data: disabled.map(({ url, disabledAt }) => ({ url, disabled_at: disabledAt.toISOString() })) };
    }
  );
  app2.post(
    "/webhooks/enable-endpoint",
    {
      config: { scope: "jobs:write", doc: { errors: ["not_found"] } },
      schema: {
        operationId: "enableEndpoint",
        tags,
        summary: "Send to a disabled endpoint again; what it missed can be replayed",
        body: Type34.Object({ url: Type34.String({ maxLength: 2048 }) }, { additionalProperties: false }),
        response: { 204: Type34.Null({ description: "enabled" }) }
      }
    },
    async (request, reply) => {
      if (!await webhooks.enableEndpoint(teamOf(request), request.body.url)) throw notFound("disabled endpoint");
      return reply.code(204).send(null);
    }
  );
};

// src/api/app.ts
var IDLE_MS = ANSWER_SECONDS * 1e3;
var REQUEST_MS = 6 * 36e5;
var HEARTBEAT_MS = 15e3;
var MAX_PARAM_LENGTH = 300;
var UPLOAD_RETRY_SECONDS = 10;
var STREAM_RETRY_SECONDS = 30;
var ID = /^[\w.-]{1,64}$/;
async function buildApp(deps) {
  const closing = new AbortController();
  const scratch = await openScratch(deps.config.DATA_DIR);
  const app2 = Fastify({
    loggerInstance: deps.logger,
    logController: new QuietLogController({ requestIdLogLabel: "request_id" }),
    bodyLimit: deps.config.MAX_BODY_BYTES,
    connectionTimeout: IDLE_MS,
    trustProxy: deps.config.TRUST_PROXY === "" ? false : deps.config.TRUST_PROXY,
    requestTimeout: REQUEST_MS,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    forceCloseConnections: "idle",
    genReqId: ({ headers: headers2 }) => {
      const given = headers2["x-request-id"];
      return typeof given === "string" && ID.test(given) ? given : randomUUID3();
    },
    // A URL that cannot be decoded, before any route is found.
    frameworkErrors: (error, request, reply) => {
      sendProblem(error, request, reply);
      logRequest(request, reply);
    },
    clientErrorHandler: answerClientError
  });
  app2.removeContentTypeParser("text/plain");
  registerJsonBody(app2);
  app2.setValidatorCompiler(validatorCompiler);
  app2.setSerializerCompiler(serializerCompiler(deps.logger));
  app2.setErrorHandler(sendProblem);
  app2.setNotFoundHandler(
    (request, reply) => sendProblem(
      new InputError("not_found", `there is no ${request.method} ${request.url.split("?")[0] ?? ""}`),
      request,
      reply
    )
  );
  app2.addHook("onRequest", async (request, reply) => void reply.header("X-Request-Id", request.id));
  app2.addHook("onRequest", async (request) => refuseEncoded(request));
  app2.addHook("preValidation", async ({ params: params6, query, body }) => {
    checkStorable(params6, "#path");
    checkStorable(query, "#query");
    if (!(body instanceof Readable2)) checkStorable(body);
  });
  app2.addHook("preClose", async () => closing.abort());
  app2.addHook("onClose", () => scratch.remove());
  await registerCrossOrigin(app2, deps.config);
  await registerCompression(app2);
  registerRequestLog(app2);
  registerTracing(app2, deps.telemetry ?? NO_TELEMETRY);
  const keyLookup = await openKeyLookup(app2, deps.config, deps.database.keys);
  registerAuth(app2, deps.database.keys, keyLookup);
  await app2.register(helmet, {
    crossOriginResourcePolicy: { policy: "same-site" },
    // A service on plain http and a host name would send browsers to an https that is not there.
    contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } }
  });
  await app2.register(fastifySSE, { heartbeatInterval: HEARTBEAT_MS });
  await registerOpenApi(app2, VERSION);
  registerMetrics(app2, deps);
  await registerRateLimit(app2, deps.config);
  const incoming = new AtOnce(
    deps.config.UPLOADS_PER_TEAM,
    { setting: "UPLOADS_PER_TEAM", what: "requests of the team bring files at this moment; wait for some of them" },
    UPLOAD_RETRY_SECONDS
  );
  const streams = new AtOnce(
    deps.config.STREAMS_PER_KEY,
    { setting: "STREAMS_PER_KEY", what: "event streams of the key are open; close some" },
    STREAM_RETRY_SECONDS
  );
  const own = { closing: closing.signal, scratch: scratch.path, keyLookup, incoming, streams };
  const options = { deps: { ...deps, ...own } };
  await app2.register(healthRoutes, options);
  await app2.register(uploadRoutes, options);
  await app2.register(jobRoutes, options);
  await app2.register(poolRoutes, options);
  await app2.register(teamRoutes, options);
  await app2.register(usageRoutes, options);
  await app2.register(webhookRoutes, options);
  for (const routes of [adminJobs, adminWorkers, adminAudit]) await app2.register(routes, options);
  await app2.register(adminRoutes, options);
  await app2.register(sessionRoutes, { ...options, version: VERSION });
  await app2.register(webRoutes);
  return app2;
}

// src/config/index.ts
import { isIP as isIP2 } from "node:net";
import { resolve } from "node:path";
import { Type as Type35 } from "typebox";
import Value4 from "typebox/value";
var NAMED_NETWORKS = ["loopback", "linklocal", "uniquelocal"];
function isNetwork(text3) {
  if (NAMED_NETWORKS.includes(text3)) return true;
  const [address = "", bits, ...rest] = text3.split("/");
  const family = isIP2(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === void 0 || /^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}
var ConfigSchema = Type35.Object({
  HOST: Type35.String({ default: "127.0.0.1", description: "address the API listens on" }),
  PORT: Type35.Integer({
    default: 8080,
    minimum: 0,
    maximum: 65535,
    description: "port the API listens on; 0 takes a free one"
  }),
  DATABASE_URL: Type35.Optional(
    Type35.String({ pattern: "^postgres(ql)?://", description: "PostgreSQL; absent: an embedded one under DATA_DIR" })
  ),
  REDIS_URL: Type35.Optional(
    Type35.String({ pattern: "^rediss?://", description: "Redis for the queue; absent: the queue lives in PostgreSQL" })
  ),
  STORAGE_URL: Type35.Optional(
    Type35.String({
      pattern: "^(file:///|s3://)",
      description: "file:///path or s3://bucket?endpoint=...; absent: DATA_DIR/storage"
    })
  ),
  DATA_DIR: Type35.String({ default: "./.data", description: "embedded database, local storage, scratch files" }),
  BOOTSTRAP_API_KEY: Type35.Optional(Type35.String({ minLength: 20, description: "the first admin key" })),
  ENGINE: Type35.Unsafe(
    Type35.Union(
      ENGINE_CHOICES.map((engine) => Type35.Literal(engine)),
      { default: "auto", description: "matrix engine of the workers" }
    )
  ),
  WORKER_CLASS: Type35.Optional(
    Type35.String({ pattern: "^[a-z0-9][a-z0-9_-]{0,31}$", description: "label of the workers, which jobs may ask for" })
  ),
  DEVICE_MEMORY_BYTES: Type35.Integer({
    default: 0,
    minimum: 0,
    description: "memory of a worker's accelerator, which jobs may ask for; 0: as nvidia-smi says, none without it"
  }),
  THREADS: Type35.Integer({
    default: 0,
    minimum: 0,
    maximum: 1024,
    description: "compute threads of a worker; 0: all cores"
  }),
  WORKERS: Type35.Integer({ default: 1, minimum: 0, maximum: 64, description: "workers inside `sparank start`" }),
  LOG_LEVEL: Type35.Union(
    [
      Type35.Literal("trace"),
      Type35.Literal("debug"),
      Type35.Literal("info"),
      Type35.Literal("warn"),
      Type35.Literal("error"),
      Type35.Literal("fatal"),
      Type35.Literal("silent")
    ],
    { default: "info", description: "the least that is logged" }
  ),
  LEASE_SECONDS: Type35.Number({
    default: 15,
    minimum: 1,
    maximum: 600,
    description: "a worker silent for this long has lost its task"
  }),
  TASK_ATTEMPTS: Type35.Integer({
    default: 5,
    minimum: 1,
    maximum: 100,
    description: "attempts per task when the service is at fault"
  }),
  OUTAGE_SECONDS: Type35.Number({
    default: 300,
    minimum: 0,
    maximum: 86400,
    description: "a worker waits this long for a storage or database that is away before its attempt fails"
  }),
  MAX_UPLOAD_BYTES: Type35.Integer({ default: 8 * 2 ** 30, minimum: 1, description: "size of one upload" }),
  MAX_BODY_BYTES: Type35.Integer({ default: 1 << 20, minimum: 1, description: "size of a JSON body" }),
  MAX_ARCHIVE_ENTRIES: Type35.Integer({ default: 1e4, minimum: 1, description: "files in a zip" }),
  MAX_ARCHIVE_RATIO: Type35.Number({ default: 100, minimum: 1, description: "expanded size over packed size of a zip" }),
  MAX_MODEL_BYTES: Type35.Integer({
    default: 8 * 2 ** 30,
    minimum: 1,
    description: "a model with its external data, expanded"
  }),
  MAX_GRAPH_NODES: Type35.Integer({ default: 1e5, minimum: 1, description: "nodes of a model" }),
  MAX_TENSOR_ELEMENTS: Type35.Integer({ default: 2 ** 31 - 1, minimum: 1, description: "elements of one tensor" }),
  MAX_CALIBRATION_SAMPLES: Type35.Integer({ default: 1e6, minimum: 1, description: "samples of a dataset" }),
  MAX_QUEUED_JOBS: Type35.Integer({ default: 1e4, minimum: 1, description: "queued and running jobs of a team" }),
  MAX_RUNNING_TASKS: Type35.Integer({ default: 1e4, minimum: 1, description: "tasks of a team that run at once" }),
  MAX_STORAGE_BYTES: Type35.Integer({ default: 2 ** 40, minimum: 1, description: "uploads and artifacts of a team" }),
  REQUESTS_PER_MINUTE: Type35.Integer({ default: 12e3, minimum: 1, description: "calls of one API key" }),
  UPLOADS_PER_TEAM: Type35.Integer({
    default: 100,
    minimum: 1,
    description: "requests of a team whose files are being received or fetched at once, in each API process"
  }),
  STREAMS_PER_KEY: Type35.Integer({
    default: 1e3,
    minimum: 1,
    description: "event streams of one API key that are open at once, in each API process"
  }),
  INVALID_KEYS_PER_MINUTE: Type35.Integer({
    default: 60,
    minimum: 1,
    description: "calls of one client address with keys that are not valid"
  }),
  TRUST_PROXY: Type35.Refine(
    Type35.String({
      default: "",
      description: "comma-separated addresses or networks of proxies, or `loopback`, `linklocal`, `uniquelocal`, whose `X-Forwarded-*` headers are believed"
    }),
    (value) => value === "" || value.split(",").every((one) => isNetwork(one.trim())),
    () => "must name addresses, networks such as 10.0.0.0/8, loopback, linklocal or uniquelocal"
  ),
  CACHE_BYTES: Type35.Integer({
    default: 10 * 2 ** 30,
    minimum: 0,
    description: "local copies of stored files that a worker keeps; fewer where less than 2 GiB, or a tenth of the disk, is free"
  }),
  LAYER_MEMORY_MB: Type35.Integer({
    default: 256,
    minimum: 16,
    description: "samples of one layer, and feature maps of one batch (half of it); the solver holds a few times as much"
  }),
  UPLOAD_TTL_DAYS: Type35.Number({ default: 30, minimum: 1e-3, description: "an upload is kept this long" }),
  ARTIFACT_TTL_DAYS: Type35.Number({ default: 90, minimum: 1e-3, description: "artifacts are kept this long" }),
  JOB_TTL_DAYS: Type35.Number({
    default: 365,
    minimum: 1e-3,
    description: "a finished job, its ledger and its events are kept this long, and as long as its artifacts"
  }),
  WEBHOOK_TTL_DAYS: Type35.Number({ default: 30, minimum: 1e-3, description: "the log of a webhook is kept this long" }),
  SWEEP: Type35.Union([Type35.Literal("on"), Type35.Literal("off")], {
    default: "on",
    description: "off: this process deletes no stored files that the database does not know or need"
  }),
  AUDIT_TTL_DAYS: Type35.Number({
    default: 365,
    minimum: 1e-3,
    description: "an entry of the audit log is kept this long"
  }),
  URL_ALLOWED_HOSTS: Type35.String({
    default: "",
    description: "comma-separated `host` or `host:port` that model and webhook URLs may use although private or plain http"
  }),
  CORS_ORIGINS: Type35.String({
    default: "",
    description: "comma-separated origins (`https://host`) whose pages may call the API from a browser with a key of theirs, or `*`; empty: none"
  }),
  METRICS_PORT: Type35.Integer({
    default: 0,
    minimum: 0,
    maximum: 65535,
    description: "port of `/metrics` and `/healthz` of a process without an API, on HOST; 0: none"
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type35.Optional(
    Type35.String({
      pattern: "^https?://",
      description: "OpenTelemetry collector (OTLP over HTTP) for traces; absent: none"
    })
  ),
  SHUTDOWN_SECONDS: Type35.Number({ default: 20, minimum: 0, description: "grace for a clean stop" })
});
var ConfigError = class extends Error {
};
function readConfig(environment) {
  const given = {};
  for (const [name, schema] of Object.entries(ConfigSchema.properties)) {
    const text3 = environment[name]?.trim() ?? "";
    if (text3 === "") continue;
    const number = "type" in schema && /^(number|integer)$/.test(schema.type) ? Number(text3) : NaN;
    given[name] = Number.isNaN(number) ? text3 : number;
  }
  const value = Value4.Default(ConfigSchema, given);
  const faults = Value4.Errors(ConfigSchema, value).map((e) => `${e.instancePath.slice(1)} ${e.message}`);
  if (!Value4.Check(ConfigSchema, value)) throw new ConfigError(`bad settings: ${[...new Set(faults)].join("; ")}`);
  value.DATA_DIR = resolve(value.DATA_DIR);
  return Object.freeze(value);
}

// src/observability/metrics.ts
import { collectDefaultMetrics, Counter, Gauge as Gauge2, Histogram as Histogram2, Registry } from "prom-client";
var TASK_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600];
var CALL_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20];
function createMetrics({ ofProcess = false } = {}) {
  const registry = new Registry();
  const registers = [registry];
  if (ofProcess) collectDefaultMetrics({ register: registry });
  const taskSeconds = new Histogram2({
    name: "sparank_task_duration_seconds",
    help: "Attempts at tasks on this worker, from the claim to their end",
    labelNames: ["kind", "engine", "outcome"],
    buckets: TASK_BUCKETS,
    registers
  });
  const failures = new Counter({
    name: "sparank_task_failures_total",
    help: "Attempts that failed on this worker, by whose fault it was",
    labelNames: ["kind", "origin", "code"],
    registers
  });
  const webhooks = new Histogram2({
    name: "sparank_webhook_attempt_duration_seconds",
    help: "Attempts of this process to deliver a webhook",
    labelNames: ["outcome"],
    buckets: CALL_BUCKETS,
    registers
  });
  const counter = (name, help) => new Counter({ name, help, labelNames: ["what"], registers });
  const removed = counter("sparank_janitor_removed_total", "Rows and files that the janitor of this process took away");
  const removalFailures = counter(
    "sparank_janitor_failures_total",
    "Files that the janitor of this process could not take away"
  );
  const sweepStopped = new Gauge2({
    name: "sparank_sweep_stopped",
    help: "1: the last sweep of this process removed nothing, because too many files are unknown to the database",
    labelNames: ["what"],
    registers
  });
  const reconciled = counter(
    "sparank_reconciled_total",
    "Stuck tasks and jobs that the reconciler of this process put right"
  );
  const out = new Gauge2({
    name: "sparank_worker_out_of_service",
    help: "Workers of this process that take no tasks for now",
    registers
  });
  const faults = new Counter({
    name: "sparank_worker_faults_total",
    help: "Times that a worker of this process left service",
    labelNames: ["code"],
    registers
  });
  const absent = /* @__PURE__ */ new Set();
  const add = (to) => (what, count2) => {
    to.inc({ what }, count2);
  };
  return {
    registry,
    task: (kind, engine, outcome, seconds2) => taskSeconds.observe({ kind, engine, outcome }, seconds2),
    taskFailure: (kind, origin, code) => failures.inc({ kind, origin, code }),
    outOfService(workerId, code) {
      if (code === null) absent.delete(workerId);
      else {
        absent.add(workerId);
        faults.inc({ code });
      }
      out.set(absent.size);
    },
    webhookAttempt: (outcome, seconds2) => webhooks.observe({ outcome }, seconds2),
    removed: add(removed),
    removalFailed: add(removalFailures),
    sweepStopped: (what, stopped) => sweepStopped.set({ what }, stopped ? 1 : 0),
    reconciled: add(reconciled)
  };
}

// .gen.ts
var any = new Proxy(() => void 0, { get: (_t, name) => name === "then" ? void 0 : any, apply: () => any });
var app = await buildApp({ config: readConfig({ DATA_DIR: "/tmp/api/data" }), database: any, queue: { boards: () => [], depth: any, check: any }, storage: any, logger: pino({ level: "warn" }), metrics: createMetrics() });
await app.ready();
var answer = await app.inject({ method: "GET", url: "/openapi.json" });
writeFileSync("/work/w/api/docs/openapi.json", JSON.stringify(answer.json(), null, 2) + "\n");
process.exit(0);
