# Made from docs/openapi.json by clients/python/make_types.sh.

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from typing_extensions import NotRequired, TypedDict


class Error(TypedDict):
    pointer: str
    detail: str


class Problem(TypedDict):
    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: NotRequired[list[Error]]


class Upload(TypedDict):
    id: str
    object: Literal['upload']
    sha256: str
    bytes: int
    filename: str
    created_at: str
    expires_at: str


class Source1(TypedDict):
    upload: str


class Source2(TypedDict):
    url: str
    sha256: str


Source: TypeAlias = Source1 | Source2


class Target1(TypedDict):
    parameter_ratio: float


class Target2(TypedDict):
    mac_ratio: float


class Target3(TypedDict):
    nonzero_ratio: float


class Target4(TypedDict):
    bytes_ratio: float


class Target5(TypedDict):
    speedup: float


class Target6(TypedDict):
    max_accuracy_drop: float


class Target7(TypedDict):
    min_agreement: float


class Target8(TypedDict):
    max_relative_error: float


Target: TypeAlias = (
    Target1 | Target2 | Target3 | Target4 | Target5 | Target6 | Target7 | Target8
)


class Constraints(TypedDict):
    min_parameter_ratio: NotRequired[float]
    min_mac_ratio: NotRequired[float]
    min_speedup: NotRequired[float]
    min_bytes_ratio: NotRequired[float]
    max_accuracy_drop: NotRequired[float]
    min_agreement: NotRequired[float]
    max_relative_error: NotRequired[float]


class Weights(TypedDict):
    coding: Literal['float32', 'float16', 'int8', 'uint8', 'static_int8', 'codebook']
    for_speedup: NotRequired[Literal['static_int8']]
    for_bytes: NotRequired[Literal['codebook']]
    for_quality: NotRequired[Literal['static_int8']]
    bits: Literal[2, 3, 4, 8]
    integer_layers: Literal['faster', 'all']


IncludeItem: TypeAlias = str


ExcludeItem: TypeAlias = str


class Layers(TypedDict):
    include: list[IncludeItem]
    exclude: list[ExcludeItem]


class Method(TypedDict):
    components: list[Literal['low_rank', 'sparse']]
    pattern: Literal['channel', 'filter', 'column', 'block', 'n:m', 'unstructured']
    low_rank_shapes: list[Literal['channel', 'tucker', 'spatial', 'pointwise']]
    reconstruction: Literal['after_activation', 'linear']
    error_metric: Literal['responses', 'outputs']
    inputs: Literal['symmetric', 'asymmetric', 'refit']
    distillation_passes: int | None
    drop_branches: NotRequired[bool]
    weights: Weights
    samples: int
    max_iterations: int
    layers: Layers
    seed: int


class Output(TypedDict):
    format: Literal['onnx', 'tfjs_layers', 'tfjs_graph', 'onnx_zip'] | None


BatchSize: TypeAlias = int


class Benchmark(TypedDict):
    batch_sizes: list[BatchSize]
    threads: int | None
    runtime: NotRequired[Literal['onnxruntime', 'tensorflowjs']]


Resources = TypedDict(
    'Resources',
    {
        'engine': NotRequired[Literal['onnxruntime', 'tensorflow', 'webgpu', 'cuda']],
        'device_memory_bytes': NotRequired[int],
        'class': NotRequired[str],
    },
)


class Webhook(TypedDict):
    url: str


class Spec(TypedDict):
    model: Source
    calibration: Source
    evaluation: NotRequired[Source | None]
    target: Target
    targets: NotRequired[list[Target]]
    constraints: Constraints
    method: Method
    output: NotRequired[Output]
    effort: NotRequired[Literal['quick', 'standard', 'thorough'] | int]
    answers: NotRequired[Literal['classes', 'numbers']]
    benchmark: Benchmark
    resources: NotRequired[Resources]
    priority: Literal['low', 'normal', 'high']
    labels: dict[str, str]
    webhook: NotRequired[Webhook | None]
    deadline_seconds: int | None


class Progress(TypedDict):
    fraction: float
    layers_done: int
    layers_total: int
    eta_seconds: float | None


class QueuePlace(TypedDict):
    position: int
    reason: Literal[
        'waiting_for_worker', 'no_such_worker', 'team_limit', 'higher_priority'
    ]
    expected_start_seconds: float | None


class BeforeAfter(TypedDict):
    before: float
    after: float
    ratio: float


class Quantiles(TypedDict):
    p50: float
    p95: float


class Latency(TypedDict):
    batch: int
    before_ms: Quantiles
    after_ms: Quantiles
    speedup: float
    speedup_ci95: list[float]
    runs: int


class Accuracy(TypedDict):
    before: float
    after: float
    drop: float
    samples: int


class Answers(TypedDict):
    are: Literal['classes', 'numbers']
    known_by: Literal['asked', 'labels', 'graph', 'values', 'assumed']


class Fidelity(TypedDict):
    answers: NotRequired[Answers]
    top1_agreement: float | None
    top1_agreement_ci95: NotRequired[list[float]]
    relative_error: float
    relative_error_ci95: NotRequired[list[float]]
    samples: int


class Distillation(TypedDict):
    passes: int
    samples: int
    held_out: int
    relative_error_before: float
    relative_error_after: float
    kept: bool
    variations: NotRequired[list[Literal['mirrored', 'shifted', 'mixed']]]


class Nonzeros(TypedDict):
    before: float
    after: float
    ratio: float


class MeasuredOn(TypedDict):
    data: Literal['evaluation', 'held_out', 'calibration']
    samples: int


class Unseen(TypedDict):
    accuracy: Accuracy | None
    fidelity: Fidelity


class IntegerLayers(TypedDict):
    integer: int
    all: int


class Uncoded(TypedDict):
    bytes: BeforeAfter
    latency: list[Latency]
    speedup: float
    accuracy: Accuracy | None
    fidelity: Fidelity


class Coding(TypedDict):
    coding: str
    bytes: BeforeAfter
    integer_layers: NotRequired[IntegerLayers]
    distillation: NotRequired[Distillation]
    uncoded: Uncoded


class Tensorflowjs(TypedDict):
    backend: str
    version: str
    latency: list[Latency]
    speedup: float
    accuracy: Accuracy | None
    fidelity: Fidelity


class Device(TypedDict):
    engine: str
    name: str
    threads: int


class Seconds(TypedDict):
    queued: float
    running: float
    device: float


class Memory(TypedDict):
    peak_bytes: int
    limit_bytes: int


class Metrics(TypedDict):
    parameters: BeforeAfter
    nonzeros: NotRequired[Nonzeros]
    macs: BeforeAfter
    bytes: BeforeAfter
    latency: list[Latency]
    speedup: float
    accuracy: Accuracy | None
    fidelity: Fidelity
    measured_on: NotRequired[MeasuredOn]
    unseen: NotRequired[Unseen]
    coding: NotRequired[Coding]
    distillation: NotRequired[Distillation]
    not_distilled: NotRequired[
        Literal['near', 'few_samples', 'beyond_effort', 'operators']
    ]
    tensorflowjs: NotRequired[Tensorflowjs]
    device: Device
    seconds: Seconds
    memory: NotRequired[Memory]


class Check(TypedDict):
    name: str
    required: float
    measured: float | None
    passed: bool


class Warning(TypedDict):
    code: Literal[
        'outputs_moved',
        'few_calibration_samples',
        'few_samples',
        'layers_in_branches',
        'answers_assumed',
        'measured_on_fitted',
        'near_edge',
        'coding_left_out',
        'slower',
        'larger_file',
        'not_in_tensorflowjs',
        'target_out_of_reach',
    ]
    cause: str
    next: str


class Verdict(TypedDict):
    passed: bool
    checks: list[Check]
    warnings: NotRequired[list[Warning]]


class TaskError(TypedDict):
    code: str
    detail: str
    origin: Literal['input', 'infrastructure', 'bug']
    layer: str | None


class Point(TypedDict):
    point: int
    target: Target
    model: str | None
    metrics: Metrics | None
    verdict: Verdict | None
    error: TaskError | None


class Artifact(TypedDict):
    name: str
    bytes: int
    sha256: str
    content_type: str
    url: str
    expires_at: str


class Model(TypedDict):
    filename: str
    bytes: int
    sha256: str


class Calibration(TypedDict):
    filename: str
    bytes: int
    sha256: str


class Evaluation(TypedDict):
    filename: str
    bytes: int
    sha256: str


class Inputs(TypedDict):
    model: Model
    calibration: Calibration
    evaluation: Evaluation | None


class Links(TypedDict):
    self: str
    events: str
    layers: str
    artifacts: str
    cancel: str


class Job(TypedDict):
    id: str
    object: Literal['job']
    status: Literal['queued', 'running', 'canceling', 'succeeded', 'failed', 'canceled']
    phase: Literal['inspect', 'plan', 'layers', 'assemble', 'evaluate']
    progress: Progress
    queue: QueuePlace | None
    spec: Spec
    inputs: Inputs
    labels: dict[str, str]
    team_id: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    metrics: Metrics | None
    verdict: Verdict | None
    points: list[Point]
    artifacts: list[Artifact]
    error: TaskError | None
    links: Links


class JobPage(TypedDict):
    data: list[Job]
    has_more: bool
    next: str | None
    total: NotRequired[int]


class JobResult(TypedDict):
    parameter_ratio: float
    speedup: float
    accuracy_drop: float | None
    top1_agreement: float | None


class Verdict1(TypedDict):
    passed: bool


class JobRow(TypedDict):
    id: str
    object: Literal['job_row']
    status: Literal['queued', 'running', 'canceling', 'succeeded', 'failed', 'canceled']
    phase: Literal['inspect', 'plan', 'layers', 'assemble', 'evaluate']
    progress: Progress
    queue: QueuePlace | None
    priority: Literal['low', 'normal', 'high']
    labels: dict[str, str]
    team_id: str
    model: str
    targets: list[Target]
    created_at: str
    updated_at: str
    started_at: str | None
    finished_at: str | None
    verdict: Verdict1 | None
    result: JobResult | None
    error: TaskError | None


class JobRowPage(TypedDict):
    data: list[JobRow]
    has_more: bool
    next: str | None
    total: NotRequired[int]


class LayerChange(TypedDict):
    before: float
    after: float
    ratio: float | None


class Nonzeros1(TypedDict):
    before: float
    after: float
    ratio: float | None


class LatencyMs(TypedDict):
    before: float
    after: float


class LayerRow(TypedDict):
    index: int
    name: str
    nodes: NotRequired[list[str]]
    op: str
    shape: list[int]
    status: Literal['waiting', 'running', 'done', 'failed']
    decision: Literal['compressed', 'dense', 'dropped'] | None
    reason: str | None
    low_rank_shape: Literal['channel', 'tucker', 'spatial', 'pointwise'] | None
    rank: int | None
    inner_rank: int | None
    pattern: NotRequired[str | None]
    groups: int | None
    groups_total: int | None
    weight_bits: NotRequired[int]
    parameters: LayerChange
    nonzeros: NotRequired[Nonzeros1]
    macs: LayerChange
    relative_error: float | None
    relative_error_linear: float | None
    iterations: int | None
    primal_residual: float | None
    dual_residual: float | None
    note: str | None
    latency_ms: LatencyMs | None
    worker_id: str | None
    attempt: int | None
    seconds: float | None


class Task(TypedDict):
    id: str
    kind: Literal['inspect', 'plan', 'layer', 'assemble', 'evaluate']
    layer: int | None
    point: int | None
    state: Literal['waiting', 'released', 'running', 'succeeded', 'failed', 'canceled']
    attempt: int
    failures: int
    hand_backs: int
    worker_id: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    device_seconds: float
    peak_bytes: int | None
    error: str | None


class NetworkNode(TypedDict):
    name: str
    op: str
    inputs: list[int]
    layer: int | None


class Event(TypedDict):
    id: str
    job_id: str
    type: str
    data: dict[str, Any]
    created_at: str


class EventPage(TypedDict):
    data: list[Event]
    has_more: bool
    next: str | None


class CancelOutcome(TypedDict):
    matched: int
    canceled: int
    canceling: int
    unchanged: int


class BusyWith(TypedDict):
    job_id: str | None
    team_id: str | None
    task: str
    layer: int | None


class OutOfService(TypedDict):
    code: str
    reason: str | None
    since: str


Worker = TypedDict(
    'Worker',
    {
        'id': str,
        'engine': str,
        'device': str,
        'threads': int,
        'slots': int,
        'class': str | None,
        'device_memory_bytes': int,
        'busy_with': BusyWith | None,
        'out_of_service': OutOfService | None,
        'draining_since': str | None,
        'started_at': str,
        'last_seen_at': str,
    },
)


Class = TypedDict(
    'Class',
    {
        'engine': str,
        'class': str | None,
        'device_memory_bytes': int,
        'workers': int,
        'slots': int,
        'running_tasks': int,
        'released_tasks': int,
    },
)


class Jobs(TypedDict):
    queued: int
    running: int


class Tasks(TypedDict):
    waiting: int
    released: int
    running: int
    unmatched: int


class Queue(TypedDict):
    jobs: Jobs
    tasks: Tasks


class OwnItem(TypedDict):
    job_id: str
    place: QueuePlace


class Team(TypedDict):
    team_id: str
    weight: float
    share: float
    running_tasks: int
    waiting_tasks: int
    queued_jobs: int


class Pool(TypedDict):
    workers: list[Worker]
    classes: list[Class]
    queue: Queue
    own: list[OwnItem]
    teams: list[Team]


class Datum(TypedDict):
    at: str
    running: int
    waiting: int


class PoolHistory(TypedDict):
    data: list[Datum]


class NewApiKey(TypedDict):
    id: str
    object: Literal['api_key']
    team_id: str
    name: str
    prefix: str
    scopes: list[Literal['jobs:read', 'jobs:write', 'team:admin', 'admin']]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None
    key: str


class ApiKey(TypedDict):
    id: str
    object: Literal['api_key']
    team_id: str
    name: str
    prefix: str
    scopes: list[Literal['jobs:read', 'jobs:write', 'team:admin', 'admin']]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class ApiKeyPage(TypedDict):
    data: list[ApiKey]
    has_more: bool
    next: str | None


class Limits(TypedDict):
    running_tasks: int | None
    queued_jobs: int | None
    storage_bytes: int | None
    requests_per_minute: int | None


class InUse(TypedDict):
    running_tasks: int
    queued_jobs: int
    storage_bytes: int


class TeamInUse(TypedDict):
    id: str
    object: Literal['team']
    name: str
    weight: float
    limits: Limits
    created_at: str
    in_use: InUse


class Team1(TypedDict):
    id: str
    object: Literal['team']
    name: str
    weight: float
    limits: Limits
    created_at: str


class TeamPage(TypedDict):
    data: list[Team1]
    has_more: bool
    next: str | None


class UsageRow(TypedDict):
    day: str | None
    team_id: str | None
    job_id: str | None
    label: str | None
    jobs: int
    tasks: int
    device_seconds: float
    upload_bytes: int
    artifact_bytes: int


class Total(TypedDict):
    jobs: int
    tasks: int
    device_seconds: float
    upload_bytes: int
    artifact_bytes: int


Usage = TypedDict(
    'Usage',
    {
        'from': str,
        'to': str,
        'by': list[Literal['day', 'team', 'job', 'label']],
        'data': list[UsageRow],
        'total': Total,
    },
)


class WebhookSecret(TypedDict):
    created_at: str
    previous_valid_until: str | None


class WebhookDelivery(TypedDict):
    id: str
    object: Literal['webhook_delivery']
    job_id: str
    url: str
    type: str
    state: Literal['pending', 'delivered', 'failed', 'disabled']
    attempts: int
    next_attempt_at: str | None
    created_at: str
    finished_at: str | None


class WebhookDeliveryPage(TypedDict):
    data: list[WebhookDelivery]
    has_more: bool
    next: str | None


class Actor(TypedDict):
    key_id: str
    key_prefix: str
    team_id: str
    request_id: str
    address: str


class AuditEntry(TypedDict):
    id: str
    object: Literal['audit_entry']
    at: str
    action: Literal[
        'team.created',
        'team.changed',
        'team.removed',
        'key.created',
        'key.revoked',
        'job.canceled',
        'worker.drained',
        'worker.undrained',
        'dashboard.login',
    ]
    actor: Actor | None
    team_id: str | None
    subject: str
    detail: dict[str, Any]


class AuditPage(TypedDict):
    data: list[AuditEntry]
    has_more: bool
    next: str | None


class Team2(TypedDict):
    id: str
    name: str


class Key(TypedDict):
    id: str
    prefix: str
    scopes: list[Literal['jobs:read', 'jobs:write', 'team:admin', 'admin']]


class Session(TypedDict):
    object: Literal['session']
    team: Team2
    key: Key
    expires_at: str | None
    version: str


class ConstraintsRequest(TypedDict):
    min_parameter_ratio: NotRequired[float]
    min_mac_ratio: NotRequired[float]
    min_speedup: NotRequired[float]
    min_bytes_ratio: NotRequired[float]
    max_accuracy_drop: NotRequired[float]
    min_agreement: NotRequired[float]
    max_relative_error: NotRequired[float]


class Weights1(TypedDict):
    coding: NotRequired[
        Literal['float32', 'float16', 'int8', 'uint8', 'static_int8', 'codebook']
    ]
    for_speedup: NotRequired[Literal['static_int8']]
    for_bytes: NotRequired[Literal['codebook']]
    for_quality: NotRequired[Literal['static_int8']]
    bits: NotRequired[Literal[2, 3, 4, 8]]
    integer_layers: NotRequired[Literal['faster', 'all']]


class Layers1(TypedDict):
    include: NotRequired[list[IncludeItem]]
    exclude: NotRequired[list[ExcludeItem]]


class MethodRequest(TypedDict):
    components: NotRequired[list[Literal['low_rank', 'sparse']]]
    pattern: NotRequired[
        Literal['channel', 'filter', 'column', 'block', 'n:m', 'unstructured']
    ]
    low_rank_shapes: NotRequired[
        list[Literal['channel', 'tucker', 'spatial', 'pointwise']]
    ]
    reconstruction: NotRequired[Literal['after_activation', 'linear']]
    error_metric: NotRequired[Literal['responses', 'outputs']]
    inputs: NotRequired[Literal['symmetric', 'asymmetric', 'refit']]
    distillation_passes: NotRequired[int | None]
    drop_branches: NotRequired[bool]
    weights: NotRequired[Weights1]
    samples: NotRequired[int]
    max_iterations: NotRequired[int]
    layers: NotRequired[Layers1]
    seed: NotRequired[int]


class OutputRequest(TypedDict):
    format: NotRequired[Literal['onnx', 'tfjs_layers', 'tfjs_graph', 'onnx_zip'] | None]


class BenchmarkRequest(TypedDict):
    batch_sizes: NotRequired[list[BatchSize]]
    threads: NotRequired[int | None]
    runtime: NotRequired[Literal['onnxruntime', 'tensorflowjs']]


class SpecRequest(TypedDict):
    model: Source
    calibration: Source
    evaluation: NotRequired[Source | None]
    target: NotRequired[Target]
    targets: NotRequired[list[Target]]
    constraints: NotRequired[ConstraintsRequest]
    method: NotRequired[MethodRequest]
    output: NotRequired[OutputRequest]
    effort: NotRequired[Literal['quick', 'standard', 'thorough'] | int]
    answers: NotRequired[Literal['classes', 'numbers']]
    benchmark: NotRequired[BenchmarkRequest]
    resources: NotRequired[Resources]
    priority: NotRequired[Literal['low', 'normal', 'high']]
    labels: NotRequired[dict[str, str]]
    webhook: NotRequired[Webhook | None]
    deadline_seconds: NotRequired[int | None]


Id: TypeAlias = str


class JobChoice(TypedDict):
    ids: NotRequired[list[Id]]
    status: NotRequired[
        list[
            Literal['queued', 'running', 'canceling', 'succeeded', 'failed', 'canceled']
        ]
    ]
    labels: NotRequired[dict[str, str]]
