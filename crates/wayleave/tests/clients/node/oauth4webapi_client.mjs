// oauth4webapi gets tokens, and judges them strictly by RFC 9068 as a resource server would.
// How to run it: see checks.mjs.
import {
  ENVIRONMENTS,
  callProtected,
  equal,
  finish,
  isInvalidClient,
  load,
  loadDemo,
  rejects,
} from './checks.mjs';

const oauth = await load('oauth4webapi');
const HTTP = { [oauth.allowInsecureRequests]: true };
const METHODS = { basic: oauth.ClientSecretBasic, post: oauth.ClientSecretPost };

/** The server's metadata by RFC 8414. */
async function discover({ url }) {
  const issuer = new URL(url);
  const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...HTTP });
  return oauth.processDiscoveryResponse(issuer, response);
}

/** A token for the environment's OAuth keys. */
async function grant(server, keys, method, secret = keys.client_secret) {
  const client = { client_id: keys.client_id };
  const authentication = METHODS[method](secret);
  const response = await oauth.clientCredentialsGrantRequest(server, client, authentication, {}, HTTP);
  return oauth.processClientCredentialsResponse(server, client, response);
}

/** A token for the environment's API keys. */
async function apiToken({ url, token }) {
  const response = await fetch(`${url}/token`, { method: 'POST', body: JSON.stringify(token) });
  return (await response.json()).token;
}

/** The claims of a token that was sent to a resource server; throws unless RFC 9068 is met. */
function validate(server, token, audience) {
  const headers = { authorization: `Bearer ${token}` };
  const request = new Request('https://api.example.com/', { headers });
  return oauth.validateJwtAccessToken(server, request, audience, {
    ...HTTP,
    signingAlgorithms: ['ES256'],
  });
}

/** The token with one letter of one of its three parts changed. */
function tamper(token, part) {
  const parts = token.split('.');
  const text = parts[part];
  const at = Math.floor(text.length / 2);
  parts[part] = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
  return parts.join('.');
}

const any = () => true;
const demo = loadDemo();
for (const [name, other] of Object.entries(ENVIRONMENTS)) {
  const [here, there] = [demo[name], demo[other]];
  const [server, foreign] = [await discover(here), await discover(there)];
  for (const method of Object.keys(METHODS)) {
    const what = `${name} ${method}`;
    const tokens = await grant(server, here.oauth, method);
    equal(`${what}: token type`, tokens.token_type, 'bearer');
    equal(`${what}: lifetime`, tokens.expires_in, 3600);
    equal(`${what}: the protected path answers`, await callProtected(here, tokens.access_token), 200);
    await rejects(
      `${what}: a wrong secret is invalid_client`,
      () => grant(server, here.oauth, method, 'wrong'),
      isInvalidClient,
    );
  }
  const kinds = {
    platform: (await grant(server, here.oauth, 'basic')).access_token,
    routes: await apiToken(here),
  };
  for (const [audience, token] of Object.entries(kinds)) {
    const what = `${name} token for ${audience}`;
    const claims = await validate(server, token, audience);
    equal(`${what}: issuer`, claims.iss, server.issuer);
    equal(`${what}: audience`, claims.aud, audience);
    equal(`${what}: lifetime`, claims.exp - claims.iat, 3600);
    await rejects(`${what}: not for another audience`, () => validate(server, token, 'elsewhere'), any);
    await rejects(`${what}: not in the other environment`, () => validate(foreign, token, audience), any);
    for (const [part, where] of ['header', 'claims', 'signature'].entries()) {
      const altered = tamper(token, part);
      await rejects(`${what}: altered ${where} does not validate`, () => validate(server, altered, audience), any);
      equal(`${what}: altered ${where} is refused`, await callProtected(here, altered), 401);
    }
  }
}
finish();
