// openid-client finds the server by RFC 8414 and gets tokens in both ways of RFC 6749.
// How to run it: see checks.mjs.
import {
  ENVIRONMENTS,
  callProtected,
  check,
  equal,
  finish,
  isInvalidClient,
  load,
  loadDemo,
  rejects,
} from './checks.mjs';

const client = await load('openid-client');
const METHODS = { basic: client.ClientSecretBasic, post: client.ClientSecretPost };

/** The server's configuration, discovered from its address alone. */
function discover({ url, oauth }, method, secret = oauth.client_secret) {
  return client.discovery(new URL(url), oauth.client_id, undefined, METHODS[method](secret), {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests],
  });
}

const demo = loadDemo();
for (const [name, other] of Object.entries(ENVIRONMENTS)) {
  const [here, there] = [demo[name], demo[other]];
  for (const method of Object.keys(METHODS)) {
    const what = `${name} ${method}`;
    const server = await discover(here, method);
    const metadata = server.serverMetadata();
    check(`${what}: metadata lists the grant`, metadata.grant_types_supported?.includes('client_credentials'));
    check(
      `${what}: metadata lists the method`,
      metadata.token_endpoint_auth_methods_supported?.includes(`client_secret_${method}`),
    );
    const tokens = await client.clientCredentialsGrant(server);
    equal(`${what}: token type`, tokens.token_type, 'bearer');
    equal(`${what}: lifetime`, tokens.expires_in, 3600);
    equal(`${what}: the protected path answers`, await callProtected(here, tokens.access_token), 200);
    equal(`${what}: the other environment refuses the token`, await callProtected(there, tokens.access_token), 401);
    const wrong = await discover(here, method, 'wrong');
    await rejects(`${what}: a wrong secret is invalid_client`, () => client.clientCredentialsGrant(wrong), isInvalidClient);
    const foreign = await discover({ url: here.url, oauth: there.oauth }, method);
    await rejects(
      `${what}: the other environment's keys are invalid_client`,
      () => client.clientCredentialsGrant(foreign),
      isInvalidClient,
    );
  }
}
finish();
