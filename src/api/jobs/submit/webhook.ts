import { InputError, SparankError } from '../../../errors/index.js';
import type { Spec } from '../../../jobs/spec.js';
import { checkOutboundUrl } from '../../../outbound/guarded-request.js';
import type { RouteDeps } from '../../deps.js';

/**
 * Whether the job's end can be told: its URL has the right form (where it leads is seen when it is dialled), the
 * endpoint has not said 410 Gone, and there is a secret to sign with.
 * @throws InputError
 */
export async function checkWebhook({ config, database }: RouteDeps, teamId: string, spec: Spec): Promise<void> {
  const url = spec.webhook?.url;
  if (url === undefined) return;
  const refuse = (detail: string, cause?: unknown) =>
    new InputError('invalid_spec', detail, { faults: [{ pointer: '/webhook/url', detail }], cause });
  try {
    checkOutboundUrl(url, config.URL_ALLOWED_HOSTS);
  } catch (error) {
    throw error instanceof SparankError ? refuse(error.message, error) : error;
  }
  const [secret, disabled] = await Promise.all([
    database.webhooks.secretInfo(teamId),
    database.webhooks.disabledEndpoints(teamId),
  ]);
  if (secret === null) throw refuse('the team has no signing secret yet: make one with POST /webhooks/secret');
  if (disabled.some((endpoint) => endpoint.url === url)) {
    throw refuse('the endpoint said 410 Gone and is disabled: POST /webhooks/enable-endpoint');
  }
}
