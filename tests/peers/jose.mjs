/*
 * jose.mjs
 *		Our JWK, JWS and JWE against the npm package jose: each reads what the other made, and we refuse what is not on our list.
 *
 * Our end is hdms-tool; HDMS_TOOL names another.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import {
	base64url, calculateJwkThumbprint, compactDecrypt, CompactEncrypt, CompactSign, compactVerify, exportJWK, FlattenedSign, generateKeyPair, importJWK,
} from 'jose';

const tool = process.env.HDMS_TOOL ?? fileURLToPath(new URL('../../build/plain/hdms-tool', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'hdms-jose-'));
after(() => rmSync(folder, { recursive: true }));

const run = (args, input = '') => execFileSync(tool, args, { input, stdio: ['pipe', 'pipe', 'pipe'], maxBuffer: 1 << 24 });
const text = (args, input) => run(args, input).toString();
const refused = (args, input, word) => assert.throws(() => run(args, input), (error) => {
	assert.equal(error.status, 1);
	const line = error.stderr.toString();
	assert.match(line, /^hdms-tool: [^\n]*\n$/);
	assert.ok(line.includes(`(${word})`), line);
	return true;
});

let files = 0;
const file = (jwk) => {
	const path = join(folder, `${files++}.jwk`);
	writeFileSync(path, typeof jwk === 'string' ? jwk : JSON.stringify(jwk), { mode: 0o600 });
	return path;
};
const bytes = (data) => new TextEncoder().encode(data);
const publicPart = ({ d, p, q, dp, dq, qi, ...rest }) => rest;

const payload = '{"text":"größer als sechs"}';
const suites = [
	{ type: 'p256', alg: 'ES256', wrap: 'ECDH-ES+A256KW' },
	{ type: 'rsa2048', alg: 'PS256', wrap: 'RSA-OAEP-256', bits: 2048 },
	{ type: 'rsa3072', alg: 'PS256', wrap: 'RSA-OAEP-256', bits: 3072 },
	{ type: 'rsa4096', alg: 'PS256', wrap: 'RSA-OAEP-256', bits: 4096 },
	{ type: 'ed25519', alg: 'EdDSA', options: { crv: 'Ed25519' } },
];

for (const suite of suites) {
	const ourJwk = JSON.parse(text(['key', 'new', '--type', suite.type]));
	const ourFile = file(ourJwk);

	test(`${suite.type}: the peer reads our key and has its thumbprint`, async () => {
		assert.equal(await calculateJwkThumbprint(publicPart(ourJwk)), text(['key', 'show', '--key', ourFile, '--as', 'thumbprint']).trim());
		assert.deepEqual(JSON.parse(text(['key', 'show', '--key', ourFile])), publicPart(ourJwk));
	});

	test(`${suite.type}: the peer verifies our signature`, async () => {
		const jws = text(['jws', 'sign', '--key', ourFile, '--typ', 'test+jwt'], payload).trim();
		const { payload: got, protectedHeader } = await compactVerify(jws, await importJWK(publicPart(ourJwk), suite.alg));
		assert.equal(new TextDecoder().decode(got), payload);
		assert.deepEqual(protectedHeader, { alg: suite.alg, typ: 'test+jwt', kid: await calculateJwkThumbprint(publicPart(ourJwk)) });
	});

	test(`${suite.type}: we verify the peer's signature by the peer's key`, async () => {
		const pair = await generateKeyPair(suite.alg, { extractable: true, modulusLength: suite.bits, ...suite.options });
		const path = file(await exportJWK(pair.publicKey));
		const jws = await new CompactSign(bytes(payload)).setProtectedHeader({ alg: suite.alg, typ: 'test+jwt' }).sign(pair.privateKey);
		assert.equal(text(['jws', 'verify', '--key', path], jws), payload);
		assert.equal(text(['jws', 'verify', '--key', path, '--typ', 'test+jwt'], jws), payload);
		refused(['jws', 'verify', '--key', path, '--typ', 'other+jwt'], jws, 'bad-type');
		refused(['jws', 'verify', '--key', ourFile], jws, 'bad-signature');
		const [header, , signature] = jws.split('.');
		refused(['jws', 'verify', '--key', path], `${header}.${base64url.encode('{}')}.${signature}`, 'bad-signature');
	});

	if (!suite.wrap) {
		test(`${suite.type}: nothing is sealed to a key that only signs`, () => {
			refused(['jwe', 'seal', '--key', ourFile], payload, 'bad-key');
		});
		continue;
	}

	test(`${suite.type}: the peer opens what we sealed`, async () => {
		for (const size of [0, 1, 1200, 700000]) {
			const plaintext = Buffer.alloc(size, 'ä');
			const jwe = text(['jwe', 'seal', '--key', file(publicPart(ourJwk)), '--typ', 'test+jwe'], plaintext).trim();
			const { plaintext: got, protectedHeader } = await compactDecrypt(jwe, await importJWK(ourJwk, suite.wrap));
			assert.ok(plaintext.equals(got));
			assert.equal(protectedHeader.alg, suite.wrap);
			assert.equal(protectedHeader.enc, 'A256GCM');
			assert.equal(protectedHeader.typ, 'test+jwe');
		}
	});

	test(`${suite.type}: we open what the peer sealed to the peer's key`, async () => {
		const pair = await generateKeyPair(suite.wrap, { extractable: true, modulusLength: suite.bits, crv: 'P-256' });
		const path = file(await exportJWK(pair.privateKey));
		for (const size of [0, 1, 1200, 700000]) {
			const plaintext = Buffer.alloc(size, 'x');
			const jwe = await new CompactEncrypt(plaintext).setProtectedHeader({ alg: suite.wrap, enc: 'A256GCM' }).encrypt(pair.publicKey);
			assert.ok(plaintext.equals(run(['jwe', 'open', '--key', path], jwe)));
			refused(['jwe', 'open', '--key', ourFile], jwe, 'cannot-decrypt');
		}
	});

	test(`${suite.type}: an altered envelope is refused`, async () => {
		const jwe = text(['jwe', 'seal', '--key', ourFile], payload).trim();
		const parts = jwe.split('.');
		for (const i of [1, 2, 3, 4]) {
			const changed = [...parts];
			changed[i] = (changed[i][0] === 'A' ? 'B' : 'A') + changed[i].slice(1);
			refused(['jwe', 'open', '--key', ourFile], changed.join('.'), 'cannot-decrypt');
		}
	});
}

test('signatures with other algorithms are refused', async () => {
	for (const [alg, options] of [['RS256', {}], ['PS384', {}], ['ES384', {}], ['HS256', {}]]) {
		const key = alg === 'HS256' ? new Uint8Array(32) : (await generateKeyPair(alg, options)).privateKey;
		const jws = await new CompactSign(bytes(payload)).setProtectedHeader({ alg }).sign(key);
		for (const type of ['p256', 'rsa2048'])
			refused(['jws', 'verify', '--key', file(text(['key', 'new', '--type', type]))], jws, 'bad-algorithm');
	}
});

test('the algorithm of another kind of key is refused', async () => {
	const pair = await generateKeyPair('PS256');
	const jws = await new CompactSign(bytes(payload)).setProtectedHeader({ alg: 'PS256' }).sign(pair.privateKey);
	refused(['jws', 'verify', '--key', file(text(['key', 'new', '--type', 'p256']))], jws, 'bad-algorithm');
});

test('an unencoded payload is refused', async () => {
	const pair = await generateKeyPair('ES256', { extractable: true });
	const jws = await new FlattenedSign(bytes('plain')).setProtectedHeader({ alg: 'ES256', b64: false, crit: ['b64'] }).sign(pair.privateKey);
	refused(['jws', 'verify', '--key', file(await exportJWK(pair.publicKey))], `${jws.protected}.cGxhaW4.${jws.signature}`, 'bad-format');
});

test('envelopes with other algorithms are refused', async () => {
	const ec = await generateKeyPair('ECDH-ES+A256KW', { extractable: true, crv: 'P-256' });
	const rsa = await generateKeyPair('RSA-OAEP-256', { extractable: true });
	const cases = [
		[ec, { alg: 'ECDH-ES', enc: 'A256GCM' }], [ec, { alg: 'ECDH-ES+A128KW', enc: 'A256GCM' }],
		[ec, { alg: 'ECDH-ES+A256KW', enc: 'A128GCM' }], [ec, { alg: 'ECDH-ES+A256KW', enc: 'A256CBC-HS512' }],
		[rsa, { alg: 'RSA-OAEP-256', enc: 'A128CBC-HS256' }],
	];
	for (const [pair, header] of cases) {
		const jwe = await new CompactEncrypt(bytes(payload)).setProtectedHeader(header).encrypt(pair.publicKey);
		refused(['jwe', 'open', '--key', file(await exportJWK(pair.privateKey))], jwe, 'bad-algorithm');
	}
});

test('party information is refused, since nobody would check it', async () => {
	const pair = await generateKeyPair('ECDH-ES+A256KW', { extractable: true, crv: 'P-256' });
	const jwe = await new CompactEncrypt(bytes(payload)).setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM' })
		.setKeyManagementParameters({ apu: bytes('Alice'), apv: bytes('Bob') }).encrypt(pair.publicKey);
	refused(['jwe', 'open', '--key', file(await exportJWK(pair.privateKey))], jwe, 'bad-format');
});

test('keys of other curves and weak keys are refused', async () => {
	for (const [alg, options] of [['ES384', {}], ['ECDH-ES', { crv: 'X25519' }]]) {
		const pair = await generateKeyPair(alg, { extractable: true, ...options });
		refused(['key', 'show', '--key', file(await exportJWK(pair.publicKey))], '', 'bad-key');
	}
	const jwk = JSON.parse(text(['key', 'new', '--type', 'rsa2048']));
	refused(['key', 'show', '--key', file({ ...publicPart(jwk), e: 'Aw' })], '', 'bad-key');
	refused(['key', 'show', '--key', file({ ...jwk, dp: jwk.dq })], '', 'bad-key');
});

test('wrong usage ends with status 2', () => {
	for (const args of [[], ['key'], ['key', 'new'], ['key', 'new', '--type', 'p521'], ['jws', 'sign', '--key', 'x'], ['jwe', 'open'], ['nothing']])
		assert.throws(() => run(args), { status: 2 });
});

test('a missing file ends with status 1 and one line', () => {
	assert.throws(() => run(['key', 'show', '--key', join(folder, 'missing')]), (error) => error.status === 1 && /^[^\n]+\n$/.test(error.stderr.toString()));
});
