/*
 * Asymmetric keys: decoded once from a TPM's public area or from PEM and kept as a handle, since
 * decoding costs as much as several verifications. Weak keys never become a handle: RSA below
 * 2048 or above 4096 bits, public exponents that are even or below 65537, curves other than the
 * three of NIST, points that are not on their curve.
 *
 * A handle may be used by several threads for verification.
 */
#ifndef CRYPTO_PKEY_H
#define CRYPTO_PKEY_H

#include <stdbool.h>

#include "base/reader.h"
#include "base/secret.h"
#include "crypto/hash.h"

#define PKEY_RSA_BITS_MIN   2048
#define PKEY_RSA_BITS_MAX   4096
#define PKEY_RSA_SIZE_MAX   (PKEY_RSA_BITS_MAX / 8)
#define PKEY_COORDINATE_MAX 66   /* bytes, P-521 */
#define PKEY_ES256_SIZE     64   /* bytes of r || s for P-256 (RFC 7518, 3.4) */
#define PKEY_DER_MAX        2048 /* bytes of a SubjectPublicKeyInfo */
#define PKEY_PEM_MAX        4096 /* characters of a key in PEM */

struct pkey;

enum pkey_type { PKEY_RSA, PKEY_EC };
enum pkey_curve { PKEY_P256, PKEY_P384, PKEY_P521, PKEY_CURVE_COUNT };
enum pkey_padding { PKEY_RSA_PKCS1, PKEY_RSA_PSS };

/* An affine point; both coordinates have the full size of the curve. */
struct pkey_point {
        uint8_t x[PKEY_COORDINATE_MAX];
        uint8_t y[PKEY_COORDINATE_MAX];
        size_t size; /* bytes of each coordinate */
};

/* ---- making handles; release with pkey_free() -------------------------------------------- */

/* Big-endian modulus. Errors: ERR_UNSUPPORTED for a weak key, ERR_MALFORMED, ERR_NO_MEMORY. */
int pkey_new_rsa(struct bytes n, uint32_t e, struct pkey **ret_key, struct err *err) MUST_CHECK;

/* Big-endian coordinates, leading zeros may be missing. ERR_MALFORMED if not on the curve. */
int pkey_new_ec(enum pkey_curve curve, struct bytes x, struct bytes y, struct pkey **ret_key,
                struct err *err) MUST_CHECK;

/* A SubjectPublicKeyInfo in PEM ("PUBLIC KEY") or DER. Nothing may follow the DER. */
int pkey_from_public_pem(struct bytes pem, struct pkey **ret_key, struct err *err) MUST_CHECK;
int pkey_from_public_der(struct bytes der, struct pkey **ret_key, struct err *err) MUST_CHECK;

/* An unencrypted private key in PEM (PKCS#8 or traditional). */
int pkey_from_private_pem(struct bytes pem, struct pkey **ret_key, struct err *err) MUST_CHECK;

/* A new private key on this curve. */
int pkey_generate_ec(enum pkey_curve curve, struct pkey **ret_key, struct err *err) MUST_CHECK;

/* A new RSA key of PKEY_RSA_BITS_MIN to PKEY_RSA_BITS_MAX bits, public exponent 65537. */
int pkey_generate_rsa(unsigned bits, struct pkey **ret_key, struct err *err) MUST_CHECK;

/* Another reference to the same key. */
struct pkey *pkey_ref(struct pkey *key);
void pkey_free(struct pkey *key);
DEFINE_CLEANUP(struct pkey *, pkey_free)
#define AUTO_PKEY CLEANUP(pkey_free_p)

/* ---- what they are ------------------------------------------------------------------------ */

enum pkey_type pkey_type(const struct pkey *key);
enum pkey_curve pkey_curve(const struct pkey *key); /* of a PKEY_EC only */
size_t pkey_coordinate_size(enum pkey_curve curve); /* 32, 48 or 66 bytes */
bool pkey_is_private(const struct pkey *key);

/* Whether both have the same public key. */
bool pkey_equal_public(const struct pkey *a, const struct pkey *b);

/* The public point of a PKEY_EC. */
int pkey_get_point(const struct pkey *key, struct pkey_point *ret_point,
                   struct err *err) MUST_CHECK;

/* SubjectPublicKeyInfo as DER; free() the result. */
int pkey_to_public_der(const struct pkey *key, uint8_t **ret_der, size_t *ret_len,
                       struct err *err) MUST_CHECK;

/* NUL-terminated PEM; free() the result. */
int pkey_to_public_pem(const struct pkey *key, char **ret_pem, struct err *err) MUST_CHECK;

/* Writes the private key as unencrypted PKCS#8 PEM, mode 0600; reads it again. */
int pkey_save_private(const struct pkey *key, const char *path, struct err *err) MUST_CHECK;
int pkey_load_private(const char *path, struct pkey **ret_key, struct err *err) MUST_CHECK;

/* ---- signatures --------------------------------------------------------------------------- */

/*
 * Verify over the whole message. ERR_NOT_TRUSTED if the signature is not the key's; ERR_USAGE if
 * the key is of another type. r and s are big-endian, at most PKEY_COORDINATE_MAX bytes.
 * PSS takes any salt length up to that of the hash or the largest possible, as TPMs choose
 * (TPM 2.0 Part 1, B.7), with MGF1 of the same hash.
 */
int pkey_verify_ecdsa(const struct pkey *key, const struct hash_alg *hash, struct bytes message,
                      struct bytes r, struct bytes s, struct err *err) MUST_CHECK;
int pkey_verify_rsa(const struct pkey *key, enum pkey_padding padding, const struct hash_alg *hash,
                    struct bytes message, struct bytes signature, struct err *err) MUST_CHECK;

/*
 * Signs a digest of hash->size bytes: ECDSA as DER, or RSASSA-PKCS1-v1_5. ret_signature has room
 * for PKEY_RSA_SIZE_MAX bytes. ERR_USAGE for a public key.
 */
int pkey_sign_digest(const struct pkey *key, const struct hash_alg *hash, const uint8_t *digest,
                     uint8_t *ret_signature, size_t *ret_len, struct err *err) MUST_CHECK;

/* ES256 of JWS: P-256 and SHA-256, the signature as r || s (RFC 7518, 3.4). */
int pkey_sign_es256(const struct pkey *key, struct bytes message,
                    uint8_t ret_signature[PKEY_ES256_SIZE], struct err *err) MUST_CHECK;
int pkey_verify_es256(const struct pkey *key, struct bytes message, struct bytes signature,
                      struct err *err) MUST_CHECK;

/* ---- key agreement and encryption, for TPM credentials ------------------------------------ */

/* The x coordinate of private * peer, with the curve's full size (SP 800-56A, 5.7.1.2). */
int pkey_ecdh(const struct pkey *private_key, const struct pkey *peer, struct secret **ret_x,
              struct err *err) MUST_CHECK;

/*
 * RSAES-OAEP with this hash, also for MGF1 (RFC 8017, 7.1). ret_cipher has room for
 * PKEY_RSA_SIZE_MAX bytes.
 */
int pkey_encrypt_oaep(const struct pkey *key, const struct hash_alg *hash, struct bytes label,
                      struct bytes plain, uint8_t *ret_cipher, size_t *ret_len,
                      struct err *err) MUST_CHECK;

#endif
