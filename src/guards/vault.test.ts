import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { systemRandom } from '../runtime/random.ts';
import { ACME, MASTER_KEY, refusedWith, setup } from './fixture.test.ts';
import { proveMasterKey, Vault } from './vault.ts';

const CONTEXT = { tenant: ACME, purpose: 'test' };
const other = Buffer.alloc(32, 8);

test('what the vault seals opens again in its context, and no two seals of it are alike', () => {
  const vault = new Vault(systemRandom, MASTER_KEY);
  const [one, two] = [vault.seal('señal', CONTEXT), vault.seal('señal', CONTEXT)];
  assert.equal(vault.open(one, CONTEXT), 'señal');
  assert.equal(vault.open(two, CONTEXT), 'señal');
  assert.notEqual(one, two);
  assert.match(one, /^v1\.[\w-]{8}\.[\w-]+$/);
  assert.ok(!one.includes('señal'));
});

test('a sealed value moved to another tenant or purpose, or changed in any character, does not open', () => {
  const vault = new Vault(systemRandom, MASTER_KEY);
  const sealed = vault.seal('text', CONTEXT);
  assert.throws(() => vault.open(sealed, { ...CONTEXT, tenant: DEFAULT_TENANT }));
  assert.throws(() => vault.open(sealed, { ...CONTEXT, purpose: 'other' }));
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = sealed.slice(0, at) + (sealed[at] === 'A' ? 'B' : 'A') + sealed.slice(at + 1);
    assert.throws(() => vault.open(changed, CONTEXT), { code: 'internal' }, `character ${at}`);
  }
});

test('a new master key seals, and what the key before it sealed still opens', () => {
  const old = new Vault(systemRandom, MASTER_KEY).seal('text', CONTEXT);
  const vault = new Vault(systemRandom, other, [MASTER_KEY]);
  assert.equal(vault.open(old, CONTEXT), 'text');
  assert.throws(() => new Vault(systemRandom, other).open(old, CONTEXT), { code: 'internal' });
  assert.throws(() => new Vault(systemRandom, MASTER_KEY).open(vault.seal('text', CONTEXT), CONTEXT));
});

test('subkeys differ by purpose and master key, and are the same at every start', () => {
  const vault = new Vault(systemRandom, MASTER_KEY);
  assert.deepEqual(vault.subkey('audit'), new Vault(systemRandom, MASTER_KEY).subkey('audit'));
  assert.notDeepEqual(vault.subkey('audit'), vault.subkey('other'));
  assert.notDeepEqual(vault.subkey('audit'), new Vault(systemRandom, other).subkey('audit'));
  assert.equal(vault.subkey('audit').length, 32);
});

test('a master key that is not the store’s stops the start', async () => {
  const { store, node } = await setup();
  await refusedWith('internal', node({ masterKey: other }));
  await proveMasterKey(store, new Vault(systemRandom, other, [MASTER_KEY]));
  assert.throws(() => new Vault(systemRandom, Buffer.alloc(16)), /32 bytes/);
});
