#!/usr/bin/env node
// This file alone must parse on any Node.js since 12: it is what an old one gets to see. It imports nothing: importing
// 'fs' evaluates everything that module exports, and each start of the program would pay for that.
var oldestMajor = 24;

if (Number(process.versions.node.split('.')[0]) < oldestMajor) {
  fail('grantry needs Node.js ' + oldestMajor + ' or newer; this is ' + process.version + '.');
} else {
  start(process.getBuiltinModule('fs'), process.getBuiltinModule('path'));
}

function start(fs, path) {
  var program = new URL('../dist/cli/main.js', import.meta.url);
  if (!fs.existsSync(program)) {
    var clone = process.getBuiltinModule('url').fileURLToPath(new URL('..', import.meta.url));
    fail('grantry is not built yet: run "npm run build" in ' + path.resolve(clone) + '.');
    return;
  }
  keepCompiledCode(fs, path);
  void import(program.href);
}

function fail(message) {
  process.stderr.write(message + '\n');
  process.exitCode = 1;
}

/**
 * Compiled code is kept in the home, so that the next start is quicker. It runs with our rights when it is read back:
 * a home that others may write is left alone, and one that is not there yet is not made by this.
 */
function keepCompiledCode(fs, path) {
  try {
    var home = homeDirectory(path);
    var state = fs.statSync(home);
    var ours = typeof process.getuid !== 'function' || state.uid === process.getuid();
    if (!state.isDirectory() || !ours || (state.mode & 0o022) !== 0) return;
    fs.accessSync(home, fs.constants.W_OK);
    process.getBuiltinModule('module').enableCompileCache(path.join(home, 'cache'));
  } catch {
    // No home, or none that can be written: everything works without the cache.
  }
}

function homeDirectory(path) {
  var values = process.argv.slice(2);
  for (var index = 0; index < values.length && values[index] !== '--'; index += 1) {
    if (values[index] === '--home' && values[index + 1]) return values[index + 1];
    if (values[index].startsWith('--home=')) return values[index].slice('--home='.length);
  }
  return process.env.GRANTRY_HOME || path.join(process.getBuiltinModule('os').homedir(), '.grantry');
}
