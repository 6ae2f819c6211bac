#!/usr/bin/env node
// This file alone must parse on any Node.js since 12: it is what an old one gets to see.
import fs from 'fs';
import module from 'module';
import os from 'os';
import path from 'path';
import url from 'url';

var oldestMajor = 24;
var program = url.fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

if (Number(process.versions.node.split('.')[0]) < oldestMajor) {
  fail('grantry needs Node.js ' + oldestMajor + ' or newer; this is ' + process.version + '.');
} else if (!fs.existsSync(program)) {
  fail('grantry is not built yet: run "npm run build" in ' + path.resolve(path.dirname(program), '../..') + '.');
} else {
  keepCompiledCode();
  void import(url.pathToFileURL(program).href);
}

function fail(message) {
  process.stderr.write(message + '\n');
  process.exitCode = 1;
}

/**
 * Compiled code is kept in the home, so that the next start is quicker. It runs with our rights when it is read back:
 * a home that others may write is left alone, and one that is not there yet is not made by this.
 */
function keepCompiledCode() {
  var home = homeDirectory();
  try {
    var state = fs.statSync(home);
    var ours = typeof process.getuid !== 'function' || state.uid === process.getuid();
    if (!state.isDirectory() || !ours || (state.mode & 0o022) !== 0) return;
    fs.accessSync(home, fs.constants.W_OK);
    module.enableCompileCache(path.join(home, 'cache'));
  } catch {
    // No home, or none that can be written: everything works without the cache.
  }
}

function homeDirectory() {
  var values = process.argv.slice(2);
  for (var index = 0; index < values.length && values[index] !== '--'; index += 1) {
    if (values[index] === '--home' && values[index + 1]) return values[index + 1];
    if (values[index].startsWith('--home=')) return values[index].slice('--home='.length);
  }
  return process.env.GRANTRY_HOME || path.join(os.homedir(), '.grantry');
}
