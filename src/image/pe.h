/*
 * Which bytes of a PE/COFF image firmware hashes when it starts it ("Windows Authenticode
 * Portable Executable Signature Format", Calculating the PE Image Hash; the event is PCR 4's
 * EV_EFI_BOOT_SERVICES_APPLICATION of the TCG PC Client Platform Firmware Profile, 3.3.4.5). Pure.
 */
#ifndef IMAGE_PE_H
#define IMAGE_PE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"
#include "crypto/hash.h"

#define PE_SECTIONS_MAX 96 /* the loader's own limit */
#define PE_RANGES_MAX   (3 + PE_SECTIONS_MAX + 1)

struct pe_ranges {
        struct bytes range[PE_RANGES_MAX]; /* views into the image, in the order of hashing */
        size_t n;
};

/*
 * All ranges to hash: headers without checksum and certificate directory, sections in the order
 * of their place in the file, what follows them without the certificate table.
 * ERR_MALFORMED names the part that lies outside the file; PE32 and PE32+ are read.
 */
int pe_parse(struct bytes image, struct pe_ranges *ret_ranges, struct err *err) MUST_CHECK;

/* The digest of those ranges; ret_digest has room for alg->size bytes. */
int pe_digest(struct bytes image, const struct hash_alg *alg, uint8_t *ret_digest,
              struct err *err) MUST_CHECK;

#endif
