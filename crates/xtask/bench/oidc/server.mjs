// A peer for `cargo xtask bench`: npm's oidc-provider with the client credentials grant, in one
// process, with its own in-memory store and the clients of a file.
//
// usage: node server.mjs CLIENTS.json opaque|es256
//   CLIENTS.json   [{"client_id":"…","client_secret":"…"}, …]
//   opaque         access tokens are random text that the provider remembers (its default)
//   es256          access tokens are JWTs signed with ES256, as Wayleave's are
// Prints one JSON line with its address once it answers.
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const [clientsFile, form] = process.argv.slice(2);
if (!clientsFile || !['opaque', 'es256'].includes(form)) {
  console.error('usage: node server.mjs CLIENTS.json opaque|es256');
  process.exit(2);
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signingKey = { ...privateKey.export({ format: 'jwk' }), kid: 'bench', alg: 'ES256', use: 'sig' };

const clients = JSON.parse(readFileSync(clientsFile, 'utf8')).map((client) => ({
  ...client,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  token_endpoint_auth_method: 'client_secret_post',
}));

const signedTokens = {
  enabled: true,
  defaultResource: () => 'urn:wayleave:bench',
  useGrantedResource: () => true,
  getResourceServerInfo: () => ({
    scope: '',
    accessTokenFormat: 'jwt',
    accessTokenTTL: 3600,
    jwt: { sign: { alg: 'ES256' } },
  }),
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const address = `127.0.0.1:${server.address().port}`;
  const provider = new Provider(`http://${address}`, {
    clients,
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: form === 'es256' ? signedTokens : { enabled: false },
    },
    jwks: { keys: [signingKey] },
    ttl: { ClientCredentials: 3600 },
  });
  server.on('request', provider.callback());
  console.log(JSON.stringify({ address }));
});
