// Signatures over messages (RFC 9421) by http-message-signatures: it signs and the service verifies;
// `wayleave sign` signs and it verifies.
import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { dirname } from 'node:path';
import { ENVIRONMENTS, check, equal, finish, load, loadDemo } from './checks.mjs';

const { createSigner, createVerifier, httpbis } = await load('http-message-signatures');
const demo = loadDemo();
const BODY = '{"pages":12}';
const PARAMS = ['created', 'keyid', 'alg', 'nonce'];

/** One signed request; `change` may alter it after it was signed. */
async function call(environment, key, { method = 'GET', path, body, fields, params = PARAMS, change } = {}) {
  const url = environment.url + (path ?? environment.protected_path);
  const headers = {};
  if (body) {
    const digest = createHash('sha512').update(body).digest('base64');
    headers['content-digest'] = `sha-512=:${digest}:`;
  }
  const covered = fields ?? ['@method', '@target-uri', ...(body ? ['content-digest'] : [])];
  const config = { key, params, fields: covered, paramValues: { nonce: randomUUID() } };
  const signed = await httpbis.signMessage(config, { method, url, headers });
  const request = { url, method, headers: signed.headers, body };
  change?.(request);
  const answer = await fetch(request.url, request);
  const text = await answer.text();
  return { status: answer.status, text, headers: answer.headers };
}

async function operate(target, body) {
  const headers = { authorization: `Bearer ${demo.admin.token}`, 'content-type': 'application/json' };
  const method = body ? 'POST' : 'GET';
  const answer = await fetch(demo.admin.url + target, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${target}: ${answer.status}`);
  return answer.json();
}

async function checkSecret(name, environment, other) {
  const { key_id: keyId, secret } = environment.signing;
  const key = createSigner(secret, 'hmac-sha256', keyId);
  const status = async (options) => (await call(environment, key, options)).status;
  const path = environment.protected_path;
  const passed = await call(environment, key, { path: `${path}?b=2&a=%C3%BC` });
  equal(`${name}: a signed GET`, passed.status, 200);
  equal(`${name}: its scheme`, JSON.parse(passed.text).caller['wayleave-scheme'], 'http-signature');
  equal(`${name}: a signed body`, await status({ method: 'POST', body: BODY }), 200);
  const parts = ['@query', '@path', '@authority', '@method'];
  equal(`${name}: parts in another order`, await status({ path: `${path}?x=1`, fields: parts }), 200);
  const params = ['nonce', 'tag', 'keyid', 'expires', 'created'];
  equal(`${name}: parameters in another order`, await status({ params }), 200);
  equal(`${name}: no nonce`, await status({ params: ['created', 'keyid'] }), 401);
  equal(`${name}: no time`, await status({ params: ['nonce', 'keyid'] }), 401);
  equal(`${name}: thin`, await status({ fields: ['@method'] }), 401);
  equal(`${name}: a body without its digest`, await status({ method: 'POST', body: BODY, fields: ['@method', '@target-uri'] }), 401);
  equal(`${name}: another body`, await status({ method: 'POST', body: BODY, change: (request) => { request.body = '{"pages":13}'; } }), 400);
  equal(`${name}: another query`, await status({ path: `${path}?a=1`, change: (request) => { request.url += '2'; } }), 401);
  const wrong = createSigner(`${secret}x`, 'hmac-sha256', keyId);
  equal(`${name}: another secret`, (await call(environment, wrong)).status, 401);
  equal(`${name}: the other environment`, (await call(other, key)).status, 401);
}

async function checkKeyPairs(name, environment) {
  const integration = (await operate(`/${name}/v1/integrations`)).data[0].id;
  const pairs = {
    ed25519: generateKeyPairSync('ed25519'),
    'ecdsa-p256-sha256': generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  };
  for (const [algorithm, pair] of Object.entries(pairs)) {
    const jwk = pair.publicKey.export({ format: 'jwk' });
    const made = await operate(`/${name}/v1/credentials`, { integration, audience: 'routes', public_key: jwk });
    const key = createSigner(pair.privateKey, algorithm, made.public_id);
    equal(`${name}: ${algorithm}: GET`, (await call(environment, key)).status, 200);
    equal(`${name}: ${algorithm}: POST`, (await call(environment, key, { method: 'POST', body: BODY })).status, 200);
    const other = algorithm === 'ed25519' ? 'ecdsa-p256-sha256' : 'ed25519';
    const claims = { ...key, alg: other };
    equal(`${name}: ${algorithm}: another alg`, (await call(environment, claims)).status, 401);
  }
}

async function checkOurs(name, environment) {
  const { key_id: keyId, secret } = environment.signing;
  const url = `${environment.url}${environment.protected_path}?a=1`;
  const words = ['sign', '--data', dirname(process.argv[2]), '--as', `${name}.signing`, 'GET', url];
  const said = execFileSync(process.env.WAYLEAVE_BINARY, words, { encoding: 'utf8' });
  const lines = said.trim().split('\n').map((line) => line.split(': '));
  const headers = Object.fromEntries(lines.map(([label, ...value]) => [label.toLowerCase(), value.join(': ')]));
  const keyLookup = async ({ keyid }) =>
    keyid === keyId ? { id: keyId, algs: ['hmac-sha256'], verify: createVerifier(secret, 'hmac-sha256') } : null;
  const verify = (target) => httpbis.verifyMessage({ keyLookup }, { method: 'GET', url: target, headers });
  equal(`${name}: ours is verified`, await verify(url), true);
  check(`${name}: ours elsewhere is not`, (await verify(`${url}2`).catch(() => false)) !== true);
  equal(`${name}: ours passes`, (await fetch(url, { headers })).status, 200);
}

async function checkAnswers(name, environment) {
  const { key_id: keyId, secret } = environment.signing;
  const key = createSigner(secret, 'hmac-sha256', keyId);
  const wanted = 'answer=("@status");created;nonce="mine"';
  const change = (request) => { request.headers['accept-signature'] = wanted; };
  const url = environment.url + environment.protected_path;
  const answer = await call(environment, key, { change });
  const headers = Object.fromEntries(answer.headers);
  const keyLookup = async () => ({ id: keyId, algs: ['hmac-sha256'], verify: createVerifier(secret, 'hmac-sha256') });
  const verify = (status, method) =>
    httpbis.verifyMessage({ keyLookup }, { status, headers }, { method, url, headers: {} });
  equal(`${name}: the signed answer`, await verify(200, 'GET'), true);
  check(`${name}: with another status`, (await verify(201, 'GET').catch(() => false)) !== true);
  check(`${name}: to another request`, (await verify(200, 'POST').catch(() => false)) !== true);
  const digest = createHash('sha256').update(answer.text).digest('base64');
  equal(`${name}: its body`, headers['content-digest'], `sha-256=:${digest}:`);
}

for (const [name, other] of Object.entries(ENVIRONMENTS)) {
  await checkSecret(name, demo[name], demo[other]);
  await checkKeyPairs(name, demo[name]);
  await checkOurs(name, demo[name]);
  await checkAnswers(name, demo[name]);
}
finish();
