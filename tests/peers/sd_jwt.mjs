/*
 * sd_jwt.mjs
 *		Our SD-JWT against @sd-jwt/core: each opens, verifies and presents what the other made.
 *
 * The peer brings no cryptography: signer, verifier and hasher are node:crypto's. Our end is
 * state_peer, which the Makefile builds; STATE_PEER names another.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createPrivateKey, createPublicKey, randomBytes, randomUUID, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { SDJwtInstance } from '@sd-jwt/core';

const peer = process.env.STATE_PEER
	?? fileURLToPath(new URL('../../build/plain/tests/peers/state_peer', import.meta.url));
const ours = (args, input = '') => execFileSync(peer, args.map(String), { input, stdio: ['pipe', 'pipe', 'pipe'] }).toString();
const now = Math.floor(Date.now() / 1000);
const keys = JSON.parse(ours(['keys']));

const content = {
	resourceType: 'Observation', status: 'final', valueQuantity: { value: 7.1, unit: '%' },
	note: [{ text: 'größer als "sechs"' }], 'näme': null,
};

const signer = (jwk) => {
	const key = createPrivateKey({ key: jwk, format: 'jwk' });
	return (data) => sign('sha256', Buffer.from(data), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
};
const verifier = (jwk) => {
	const key = createPublicKey({ key: jwk, format: 'jwk' });
	return (data, signature) =>
		verify('sha256', Buffer.from(data), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'));
};
const hasher = (data) => new Uint8Array(createHash('sha256').update(data).digest());

/* kid is a header of both our JWTs; the peer only writes it where it is told */
const theirs = new SDJwtInstance({
	hasher, hashAlg: 'sha-256', saltGenerator: () => randomBytes(16).toString('base64url'),
	signer: signer(keys.issuer), signAlg: 'ES256', verifier: verifier(keys.issuer),
	kbSigner: signer(keys.holder), kbSignAlg: 'ES256',
	kbVerifier: (data, signature) => verifier(keys.holder)(data, signature),
});

const refusedByOurs = (args, input) => assert.throws(() => ours(args, input), { status: 1 });

const theirState = (extra = {}) => theirs.issue({
	iss: keys.issuer_id, sub: keys.holder_id, iat: now, record: randomUUID(), version: 1, type: 'fhir/R4/Observation',
	seed: randomBytes(32).toString('base64url'), cnf: { kid: keys.holder_id }, content, ...extra,
}, { content: { _sd: Object.keys(content) } }, { header: { typ: 'hdms-state+sd-jwt', kid: keys.issuer_id } });

test('our state is verified and opened by the peer', async () => {
	const state = ours(['make', now], JSON.stringify(content));
	const { payload, header } = await theirs.verify(state);
	assert.equal(header.typ, 'hdms-state+sd-jwt');
	assert.equal(payload.iss, keys.issuer_id);
	assert.deepEqual(payload.content, content);
});

test('the peer refuses our state once it is altered', async () => {
	const [jwt, ...disclosures] = ours(['make', now], JSON.stringify(content)).split('~');
	const [header, payload, signature] = jwt.split('.');
	const claims = JSON.parse(Buffer.from(payload, 'base64url'));
	const altered = Buffer.from(JSON.stringify({ ...claims, version: 2 })).toString('base64url');
	await assert.rejects(theirs.verify([[header, altered, signature].join('.'), ...disclosures].join('~')));
});

test('our presentation with its key binding is verified by the peer and shows the released members only', async () => {
	const state = ours(['make', now], JSON.stringify(content));
	const presentation = ours(['present', now, keys.issuer_id, 'request-1', 'status', 'näme'], state);
	const { payload, kb } = await theirs.verify(presentation, { keyBindingNonce: 'request-1' });
	assert.deepEqual(payload.content, { status: 'final', 'näme': null });
	assert.equal(kb.payload.aud, keys.issuer_id);
	assert.equal(kb.payload.use, 'present');
	await assert.rejects(theirs.verify(presentation, { keyBindingNonce: 'request-2' }));
});

test('our acceptance is a key binding that the peer verifies', async () => {
	const state = ours(['make', now], JSON.stringify(content));
	const acceptance = ours(['accept', now], state);
	const vk = createHash('sha256').update(state.split('~')[0]).digest('base64url');
	const { kb } = await theirs.verify(state + acceptance, { keyBindingNonce: vk });
	assert.equal(kb.payload.use, 'accept');
	assert.equal(kb.payload.aud, keys.issuer_id);
});

test('the peer\'s SD-JWT with the claims of a state is verified and opened by ours', async () => {
	const opened = JSON.parse(ours(['verify'], await theirState()));
	assert.deepEqual(opened, content);
});

test('ours refuses what the peer made with a claim that states do not have', async () => {
	refusedByOurs(['verify'], await theirState({ nbf: now }));
	refusedByOurs(['verify'], await theirState({ prev: keys.issuer_id }));
	refusedByOurs(['verify'], await theirState({ cnf: { kid: keys.issuer_id } }));
});

test('the peer\'s presentation of our state is verified by ours', async () => {
	const state = ours(['make', now], JSON.stringify(content));
	const instance = new SDJwtInstance({
		hasher, hashAlg: 'sha-256', verifier: verifier(keys.issuer), kbSignAlg: 'ES256', kbSigner: signer(keys.holder),
	});
	const presentation = await instance.present(state, { content: { status: true, note: true } }, {
		kb: { payload: { iat: now, aud: keys.issuer_id, nonce: 'request-1', use: 'present' } },
	});

	/* the peer leaves the holder's kid out of the header, which ours asks for: sign the same binding with it */
	const cut = presentation.lastIndexOf('~') + 1;
	const [, payload] = presentation.slice(cut).split('.');
	const header = Buffer.from(JSON.stringify({ alg: 'ES256', typ: 'kb+jwt', kid: keys.holder_id })).toString('base64url');
	const binding = `${header}.${payload}.${signer(keys.holder)(`${header}.${payload}`)}`;

	refusedByOurs(['verify-presentation', now, keys.issuer_id, 'request-1'], presentation);
	const shown = JSON.parse(ours(['verify-presentation', now, keys.issuer_id, 'request-1'], presentation.slice(0, cut) + binding));
	assert.deepEqual(shown, { status: content.status, note: content.note });
	refusedByOurs(['verify-presentation', now, keys.issuer_id, 'request-2'], presentation.slice(0, cut) + binding);
});
