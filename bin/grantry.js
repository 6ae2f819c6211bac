#!/usr/bin/env node
'use strict';
// Only this file must parse on every Node.js since 12: an old one reads it before it can say what it lacks.
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
 * home and the directory must belong to this user and be writable by no other. A missing home is not created here.
 */
function cacheDirectory(fs, path) {
  try {
    var home = homeDirectory(path);
    if (!isPrivate(fs.statSync(home))) return null;
    var cache = path.join(home, 'cache');
    if (!fs.existsSync(cache)) fs.mkdirSync(cache, { mode: 0o700 });
    return isPrivate(fs.lstatSync(cache)) ? cache : null;
  } catch {
    return null; // No home, or a read-only one: the program works without the cache.
  }
}

function isPrivate(state) {
  var ours = typeof process.getuid !== 'function' || state.uid === process.getuid();
  return state.isDirectory() && ours && (state.mode & 0o022) === 0;
}

/**
 * Runs the main file with its compiled code. Node's own compile cache stores the code as it is before the file runs; this
 * one stores it at exit, with every function that a start needs. The name of the cache file is a hash of the main file.
 */
function runWithCache(program, cache, fs, path) {
  var Module = require('module');
  var vm = require('vm');
  var source = fs.readFileSync(program);
  var hash = require('crypto').createHash('sha256').update(source).digest('hex').slice(0, 32);
  var file = path.join(cache, 'main-' + hash + '-' + process.versions.v8 + '.bin');
  var script = new vm.Script(Module.wrap(source.toString()), {
    filename: program,
    cachedData: read(file, fs),
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
}

function read(file, fs) {
  try {
    return fs.readFileSync(file);
  } catch {
    return undefined;
  }
}

/** Stores the code of this version and removes files of old ones. The rename protects a process that is reading. */
function replaceCache(file, code, fs, path) {
  try {
    var cache = path.dirname(file);
    var monthAgo = Date.now() - 30 * 24 * 3600 * 1000;
    fs.readdirSync(cache).forEach(function (name) {
      // The home may be a directory with a cache of another program.
      if (!/^main-[0-9a-f]{32}-.*\.bin(\.\d+)?$/.test(name)) return;
      var old = path.join(cache, name);
      if (fs.statSync(old).mtimeMs < monthAgo) fs.rmSync(old, { force: true });
    });
    fs.writeFileSync(file + '.' + process.pid, code, { mode: 0o600, flag: 'wx' });
    fs.renameSync(file + '.' + process.pid, file);
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
