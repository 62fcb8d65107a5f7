// What the scripts beside this file share: the contract file, checks, and finding the packages.
//
// Run a script as `node SCRIPT.mjs PATH/demo.json` with WAYLEAVE_TEST_NODE_DIR naming the folder
// whose `node_modules` holds the packages. Modules do not search NODE_PATH, so `load` resolves a
// package from that folder and imports the file found.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export const ENVIRONMENTS = { live: 'test', test: 'live' };

let failures = 0;

/** Imports a package from WAYLEAVE_TEST_NODE_DIR. */
export async function load(name) {
  const folder = process.env.WAYLEAVE_TEST_NODE_DIR;
  if (!folder) throw new Error('set WAYLEAVE_TEST_NODE_DIR to the folder that has node_modules');
  const require = createRequire(join(folder, 'package.json'));
  return import(pathToFileURL(require.resolve(name)));
}

/** The contract file named on the command line. */
export function loadDemo() {
  const demo = JSON.parse(readFileSync(process.argv[2], 'utf8'));
  if (demo.version !== 1) throw new Error(`demo.json is version ${demo.version}, not 1`);
  return demo;
}

/** One check; `detail` is shown when it failed and must hold no secret. */
export function check(name, passed, detail = '') {
  if (passed) return console.log(`ok ${name}`);
  failures += 1;
  console.log(`FAILED ${name}: ${detail}`);
}

/** A check that two values are the same. */
export function equal(name, actual, wanted) {
  check(name, actual === wanted, `got ${JSON.stringify(actual)}, wanted ${JSON.stringify(wanted)}`);
}

/** A check that `call` throws an error that `accept` likes. */
export async function rejects(name, call, accept) {
  try {
    await call();
  } catch (error) {
    return check(name, await accept(error), `got ${error}: ${error.cause ?? ''}`);
  }
  check(name, false, 'nothing was thrown');
}

/**
 * Whether an error means 401 with RFC 6749's code `invalid_client`. Where the answer has a
 * WWW-Authenticate header, as it must after Basic, the packages report that and leave the body.
 */
export async function isInvalidClient(error) {
  if (error.status !== 401) return false;
  const code = error.error ?? (await error.response.json()).error;
  return code === 'invalid_client';
}

/** The status of the protected path for a token. */
export async function callProtected(environment, token) {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(environment.url + environment.protected_path, { headers });
  await answer.arrayBuffer();
  return answer.status;
}

/** Ends the script with the verdict. */
export function finish() {
  console.log(failures ? `${failures} checks failed` : 'all checks passed');
  process.exitCode = failures ? 1 : 0;
}
