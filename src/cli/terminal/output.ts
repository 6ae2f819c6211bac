/** The output of a command: results on stdout, all else on stderr. */
export interface Output {
  readonly json: boolean;
  /** A line of the result. */
  print(line: string): void;
  /** The result as one JSON document: indented on a terminal, else one line. */
  printJson(value: unknown): void;
  /** A remark for the person at the terminal. */
  note(line: string): void;
}

/** The real output of this process. */
export function processOutput(json: boolean): Output {
  return {
    json,
    print: (line) => void process.stdout.write(`${clean(line)}\n`),
    printJson: (value) => {
      process.stdout.write(`${jsonText(value, process.stdout.isTTY ? 2 : 0)}\n`);
    },
    note: (line) => void process.stderr.write(`${clean(line)}\n`),
  };
}

/** Replaces control characters, so that text from outside cannot control the terminal. */
export function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is replaced
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}

/** Formats JSON for a terminal too: characters that control one are escaped, which readers of JSON undo. */
export function jsonText(value: unknown, indent = 0): string {
  const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value, null, indent).replace(/[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, escaped);
}

/** Resolves when all output has left this process. */
export async function flush(): Promise<void> {
  await Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise<void>((done) => stream.write('', () => done()))),
  );
}

/** Ignores a closed reader (`| head -1`): the output ends, the work goes on. */
export function ignoreClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}
