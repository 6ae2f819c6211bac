import { context, trace } from '@opentelemetry/api';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { afterEach, expect, test } from 'vitest';
import { makeServerBench } from '../../../test/support/server-bench.ts';

const exporter = new InMemorySpanExporter();

afterEach(() => {
  trace.disable();
  context.disable();
  exporter.reset();
});

function register(): void {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
}

const tokenPath = '/v1/tenants/acme/grants/strict/token';

test('a request, its refresh and the call to the provider are spans with only allowed attributes', async () => {
  register();
  await using server = await makeServerBench();
  const { minted } = await server.bench.connect(server.vault);
  await server.call('GET', `${tokenPath}?min_validity=120`);
  await server.call('GET', '/v1/apps/none-such');
  await server.call('GET', '/v1/grants?tenant=acme');
  await expect.poll(() => exporter.getFinishedSpans().map(({ name }) => name)).toContain('GET /v1/grants');
  const spans = exporter.getFinishedSpans().map(({ name, attributes }) => ({ name, attributes }));
  expect(spans).toContainEqual({
    name: 'grantry.provider_request',
    attributes: { 'grantry.provider': 'strict', 'http.response.status_code': 200 },
  });
  expect(spans).toContainEqual({
    name: 'grantry.refresh',
    attributes: { 'grantry.provider': 'strict', 'grantry.outcome': 'saved' },
  });
  const template = '/v1/tenants/{tenant}/grants/{provider}/token';
  expect(spans).toContainEqual({
    name: `GET ${template}`,
    attributes: { 'http.request.method': 'GET', 'http.route': template, 'http.response.status_code': 200 },
  });
  expect(spans).toContainEqual({
    name: 'GET /v1/apps/{app}',
    attributes: { 'http.request.method': 'GET', 'http.route': '/v1/apps/{app}', 'http.response.status_code': 404 },
  });
  const text = JSON.stringify(
    exporter.getFinishedSpans().map(({ name, attributes, events, status }) => ({ name, attributes, events, status })),
  );
  for (const word of ['acme', minted.refreshToken, 'gry_', 'none-such']) expect(text).not.toContain(word);
});

test('a failed refresh says its code', async () => {
  register();
  await using server = await makeServerBench();
  await server.bench.connect(server.vault);
  server.world.offline = true;
  expect((await server.call('GET', tokenPath)).status).toBe(503);
  const failed = exporter.getFinishedSpans().find(({ name }) => name === 'grantry.refresh');
  expect(failed?.attributes).toEqual({
    'grantry.provider': 'strict',
    'grantry.outcome': 'provider_unavailable',
    'error.type': 'provider_unavailable',
  });
  expect(failed?.events).toEqual([]);
});

test('without an SDK there are no spans, and nothing is missed', async () => {
  await using server = await makeServerBench();
  await server.bench.connect(server.vault);
  expect((await server.call('GET', tokenPath)).status).toBe(200);
  expect(exporter.getFinishedSpans()).toEqual([]);
});
