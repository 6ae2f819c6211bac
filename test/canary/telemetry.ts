/** An OpenTelemetry SDK for a child process: every span, as it is, becomes a line of a file. */
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** Writes the module that `node --import` loads, at a place from which the SDK is found. */
export function writeTelemetry(module: string, spans: string): string {
  writeFileSync(spans, '');
  writeFileSync(
    module,
    `import { appendFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { trace } from '@opentelemetry/api';
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
const exporter = {
  export: (spans, done) => {
    for (const span of spans) appendFileSync(${JSON.stringify(spans)}, inspect(span, { depth: 10 }) + '\\n');
    done({ code: 0 });
  },
  shutdown: async () => {},
};
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
`,
  );
  return pathToFileURL(module).href;
}
