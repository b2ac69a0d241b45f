import { readFile } from 'node:fs/promises';
import openapiTS, { astToString, type OpenAPI3 } from 'openapi-typescript';
import { expect, test } from 'vitest';

const HEADER = '/* Made from docs/openapi.json by npm run openapi. */\n\n';

test('the types of the client are those of the OpenAPI document', async () => {
  const document = JSON.parse(await readFile('docs/openapi.json', 'utf8')) as OpenAPI3;
  // A default makes a member optional for whoever sends it.
  const types = astToString(await openapiTS(document, { defaultNonNullable: false }));
  await expect(HEADER + types).toMatchFileSnapshot('../../src/client/openapi.ts');
});
