#!/usr/bin/env node
'use strict';
// Only this file must parse on every Node.js since 12: an old one reads it before it can say what it lacks.
var oldestMajor = 24;
var hashBytes = 32;

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
  var cache = cacheDirectory(fs, path);
  if (cache === null) require(program);
  else runWithCache(program, cache, fs, path);
}

function fail(message) {
  process.stderr.write(message + '\n');
  process.exitCode = 1;
}

/**
 * Returns the directory for compiled code in the home, or null. Compiled code runs with the rights of this user, so the
 * home, the directory and each file must belong to this user and be writable by no other. A missing home is not made here.
 */
function cacheDirectory(fs, path) {
  try {
    var home = homeDirectory(path);
    var state = fs.statSync(home);
    if (!state.isDirectory() || !isPrivate(state)) return null;
    var cache = path.join(home, 'cache');
    if (!fs.existsSync(cache)) fs.mkdirSync(cache, { mode: 0o700 });
    state = fs.lstatSync(cache);
    return state.isDirectory() && isPrivate(state) ? cache : null;
  } catch {
    return null; // No home, or a read-only one: the program works without the cache.
  }
}

function isPrivate(state) {
  return (typeof process.getuid !== 'function' || state.uid === process.getuid()) && (state.mode & 0o022) === 0;
}

/**
 * Runs the main file with its compiled code. Node's own compile cache stores the code as it is before the file runs; this
 * one stores it at exit, with every function that a start needs. V8 compares only the length of a source, and runs damaged
 * code. So the name of the cache file has the hash of the main file, and the file begins with the hash of its code.
 */
function runWithCache(program, cache, fs, path) {
  // As the module "module", without its public part, which no start needs.
  var Module = module.constructor;
  var vm = require('vm');
  var source = fs.readFileSync(program);
  var made = [hashOf(source).toString('hex'), process.version, process.versions.v8, process.arch].join('-');
  var file = path.join(cache, 'main-' + made + '.bin');
  // The build makes the main file of ASCII only; reading it as such takes a fraction of the time.
  var script = new vm.Script(Module.wrap(source.toString('latin1')), {
    filename: program,
    cachedData: readCode(file, fs),
  });
  if (script.cachedDataRejected !== false) {
    process.on('exit', function () {
      replaceCache(file, script.createCachedData(), fs, path);
    });
  }
  // The other files of the bundle find the main file under its name.
  var main = (require.cache[program] = new Module(program));
  main.filename = program;
  script
    .runInThisContext()
    .call(main.exports, main.exports, Module.createRequire(program), main, program, path.dirname(program));
  main.loaded = true;
}

function hashOf(bytes) {
  return require('crypto').hash('sha256', bytes, 'buffer');
}

/** Returns the code in a file, or undefined when the file is missing, damaged, a link, or another user could write it. */
function readCode(file, fs) {
  var opened;
  try {
    opened = fs.openSync(file, fs.constants.O_RDONLY | (fs.constants.O_NOFOLLOW || 0) | (fs.constants.O_NONBLOCK || 0));
    var state = fs.fstatSync(opened);
    if (!state.isFile() || state.nlink !== 1 || !isPrivate(state)) return undefined;
    var bytes = fs.readFileSync(opened);
    var code = bytes.subarray(hashBytes);
    return hashOf(code).equals(bytes.subarray(0, hashBytes)) ? code : undefined;
  } catch {
    return undefined;
  } finally {
    if (opened !== undefined) fs.closeSync(opened);
  }
}

/** Stores the code of this version and removes files of old ones. The rename protects a process that is reading. */
function replaceCache(file, code, fs, path) {
  try {
    var cache = path.dirname(file);
    var monthAgo = Date.now() - 30 * 24 * 3600 * 1000;
    fs.readdirSync(cache).forEach(function (name) {
      // The home may be a directory with a cache of another program.
      var old = path.join(cache, name);
      // Version 0.1.0 named its files so. It would run their code with a later program of the same length.
      var isUnchecked = /^[\w-]+\.cjs-\d+(\.\d+){2,3}(-node\.\d+)?\.bin(\.\d+)?$/.test(name);
      var isOurs = /^main-[0-9a-f]{32,64}-.*\.bin(\.\d+)?$/.test(name);
      if (isUnchecked || (isOurs && fs.lstatSync(old).mtimeMs < monthAgo)) fs.rmSync(old, { force: true });
    });
    var made = file + '.' + process.pid;
    fs.writeFileSync(made, Buffer.concat([hashOf(code), code]), { mode: 0o600, flag: 'wx' });
    fs.renameSync(made, file);
  } catch {
    // A full disk or a second process: the next start is slower, and nothing else happens.
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
