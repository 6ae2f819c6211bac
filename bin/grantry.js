#!/usr/bin/env node
'use strict';
// This file alone must parse on any Node.js since 12: it is what an old one gets to see.
var oldestMajor = 24;

if (Number(process.versions.node.split('.')[0]) < oldestMajor) {
  fail('grantry needs Node.js ' + oldestMajor + ' or newer; this is ' + process.version + '.');
} else {
  start(require('fs'), require('path'));
}

function start(fs, path) {
  var program = path.join(__dirname, '..', 'dist', 'cli', 'main.cjs');
  if (!fs.existsSync(program)) {
    fail('grantry is not built yet: run "npm run build" in ' + path.resolve(__dirname, '..') + '.');
    return;
  }
  keepCompiledCode(fs, path);
  require(program);
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
    var cache = path.join(home, 'cache');
    fs.mkdirSync(cache, { recursive: true, mode: 0o700 });
    loadThrough(cache, fs, path);
  } catch {
    // No home, or none that can be written: everything works without the cache.
  }
}

/**
 * Loads the program's own files with their compiled code. Node's compile cache keeps what was compiled before a file ran,
 * this one what had been compiled by the end: a start runs through functions that need not be compiled again.
 */
function loadThrough(cache, fs, path) {
  var vm = require('vm');
  var Module = require('module');
  var made = [];
  // oxlint-disable-next-line no-underscore-dangle -- the hook has no other name
  Module._extensions['.cjs'] = function (module, file) {
    var kept = path.join(cache, path.basename(file) + '-' + process.versions.v8 + '.bin');
    var script = new vm.Script(Module.wrap(fs.readFileSync(file, 'utf8')), {
      filename: file,
      cachedData: readKept(fs, kept),
      importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    });
    // Code that V8 turns down, or never had, is kept anew: of this version of the program and of V8 alone.
    if (script.cachedDataRejected !== false) made.push([script, kept]);
    script
      .runInThisContext()
      .call(module.exports, module.exports, module.require.bind(module), module, file, path.dirname(file));
  };
  process.on('exit', function () {
    if (made.length > 0) forgetOld(cache, fs, path);
    made.forEach(function (each) {
      keep(fs, each[1], each[0].createCachedData());
    });
  });
}

function readKept(fs, kept) {
  try {
    return fs.readFileSync(kept);
  } catch {
    return undefined;
  }
}

/** Each version of the program leaves its files behind. */
function forgetOld(cache, fs, path) {
  try {
    var before = Date.now() - 30 * 24 * 3600 * 1000;
    fs.readdirSync(cache).forEach(function (name) {
      var file = path.join(cache, name);
      if (fs.statSync(file).mtimeMs < before) fs.rmSync(file, { recursive: true, force: true });
    });
  } catch {
    // Somebody else is tidying up as well.
  }
}

/** Another process may be reading: the file is put in place whole. */
function keep(fs, kept, code) {
  try {
    fs.writeFileSync(kept + '.' + process.pid, code, { mode: 0o600 });
    fs.renameSync(kept + '.' + process.pid, kept);
  } catch {
    // A full disk costs the next start its speed, and nothing else.
  }
}

function homeDirectory(path) {
  var values = process.argv.slice(2);
  for (var index = 0; index < values.length && values[index] !== '--'; index += 1) {
    if (values[index] === '--home' && values[index + 1]) return values[index + 1];
    if (values[index].startsWith('--home=')) return values[index].slice('--home='.length);
  }
  return process.env.GRANTRY_HOME || path.join(require('os').homedir(), '.grantry');
}
