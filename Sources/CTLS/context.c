#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

// The earliest error is the cause; what follows says through which layers it came.
static void explain(char *text, size_t room) {
    unsigned long code = ERR_peek_error();
    const char *reason = NULL;
    if (code != 0) {
        if (ERR_SYSTEM_ERROR(code)) {
            reason = strerror(ERR_GET_REASON(code));
        } else {
            reason = ERR_reason_error_string(code);
        }
    }
    snprintf(text, room, "%s", reason ? reason : "unknown error");
    ERR_clear_error();
}

static int refuse(char *error, size_t room, const char *directive, const char *value) {
    char reason[256];
    explain(reason, sizeof reason);
    snprintf(error, room, "%s '%s': %s", directive, value, reason);
    return 0;
}

static int refuse_because(char *error, size_t room, const char *reason) {
    snprintf(error, room, "%s", reason);
    return 0;
}

// Never asks a terminal.
static int give_password(char *buffer, int size, int writes, void *password) {
    (void)writes;
    if (password == NULL) return 0;
    size_t length = strlen(password);
    if (length > (size_t)size) return -1;
    memcpy(buffer, password, length);
    return (int)length;
}

static int use_identity(SSL_CTX *context, const char *certificate, const char *key, const char *password,
                        const char *certificate_directive, const char *key_directive, char *error, size_t room) {
    SSL_CTX_set_default_passwd_cb(context, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, (void *)password);
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        return refuse(error, room, certificate_directive, certificate);
    int is_key = SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1;
    int reason = ERR_GET_REASON(ERR_peek_error());
    if (!is_key && reason != X509_R_KEY_VALUES_MISMATCH && reason != X509_R_KEY_TYPE_MISMATCH)
        return refuse(error, room, key_directive, key);
    if (!is_key || SSL_CTX_check_private_key(context) != 1) {
        ERR_clear_error();
        snprintf(error, room, "%s '%s': not the key of the certificate in '%s'", key_directive, key, certificate);
        return 0;
    }
    // The password is the caller's.
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    return 1;
}

static int use_authorities(SSL_CTX *context, const sr_tls_settings *settings, char *error, size_t room) {
    if (settings->ca_file && SSL_CTX_load_verify_file(context, settings->ca_file) != 1)
        return refuse(error, room, "tls-ca-cert-file", settings->ca_file);
    if (settings->ca_directory) {
        // OpenSSL looks into the directory only when it verifies.
        DIR *directory = opendir(settings->ca_directory);
        if (directory == NULL) {
            snprintf(error, room, "tls-ca-cert-dir '%s': %s", settings->ca_directory, strerror(errno));
            return 0;
        }
        closedir(directory);
        if (SSL_CTX_load_verify_dir(context, settings->ca_directory) != 1)
            return refuse(error, room, "tls-ca-cert-dir", settings->ca_directory);
    }
    return 1;
}

static int use_parameters(SSL_CTX *context, const char *path, char *error, size_t room) {
    if (path == NULL) {
        SSL_CTX_set_dh_auto(context, 1);
        return 1;
    }
    BIO *file = BIO_new_file(path, "r");
    EVP_PKEY *parameters = file ? PEM_read_bio_Parameters(file, NULL) : NULL;
    BIO_free(file);
    if (parameters == NULL) return refuse(error, room, "tls-dh-params-file", path);
    if (SSL_CTX_set0_tmp_dh_pkey(context, parameters) != 1) {
        EVP_PKEY_free(parameters);
        return refuse(error, room, "tls-dh-params-file", path);
    }
    return 1;
}

static void speak(SSL_CTX *context, int versions) {
    static const struct { int bit; uint64_t option; } all[] = {
        {SR_TLS_1_0, SSL_OP_NO_TLSv1}, {SR_TLS_1_1, SSL_OP_NO_TLSv1_1},
        {SR_TLS_1_2, SSL_OP_NO_TLSv1_2}, {SR_TLS_1_3, SSL_OP_NO_TLSv1_3},
    };
    // The system's own lowest version shall not stand in the way of what was asked for.
    SSL_CTX_set_min_proto_version(context, 0);
    SSL_CTX_set_options(context, SSL_OP_NO_SSLv2 | SSL_OP_NO_SSLv3);
    for (size_t index = 0; index < sizeof all / sizeof all[0]; index++) {
        if (!(versions & all[index].bit)) SSL_CTX_set_options(context, all[index].option);
    }
}

static void keep_sessions(SSL_CTX *context, const sr_tls_settings *settings) {
    static const unsigned char name[] = "redis";
    SSL_CTX_set_session_id_context(context, name, sizeof name - 1);
    if (!settings->caches_sessions) {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(context, 0);
        return;
    }
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(context, settings->cache_size);
    SSL_CTX_set_timeout(context, settings->cache_seconds);
}

static int use_ciphers(SSL_CTX *context, const sr_tls_settings *settings, char *error, size_t room) {
    if (settings->ciphers && SSL_CTX_set_cipher_list(context, settings->ciphers) != 1)
        return refuse(error, room, "tls-ciphers", settings->ciphers);
    if (settings->cipher_suites && SSL_CTX_set_ciphersuites(context, settings->cipher_suites) != 1)
        return refuse(error, room, "tls-ciphersuites", settings->cipher_suites);
    if (settings->prefers_own_ciphers) SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
    return 1;
}

// What the server would show as a client of another one: looked at, so that a mistake is told now.
static int check_client_identity(const sr_tls_settings *settings, char *error, size_t room) {
    if (settings->client_certificate == NULL && settings->client_key == NULL) return 1;
    if (settings->client_certificate == NULL || settings->client_key == NULL)
        return refuse_because(error, room, "tls-client-cert-file and tls-client-key-file need each other");
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) return refuse_because(error, room, "out of memory");
    int is_good = use_identity(context, settings->client_certificate, settings->client_key,
                               settings->client_key_password, "tls-client-cert-file", "tls-client-key-file",
                               error, room);
    SSL_CTX_free(context);
    return is_good;
}

static int configure(SSL_CTX *context, const sr_tls_settings *settings, char *error, size_t room) {
    if (settings->certificate == NULL) return refuse_because(error, room, "No tls-cert-file configured!");
    if (settings->key == NULL) return refuse_because(error, room, "No tls-key-file configured!");
    int asks = settings->client_certificates;
    if (asks != SR_TLS_ASKS_NOT && settings->ca_file == NULL && settings->ca_directory == NULL)
        return refuse_because(error, room, "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when "
                              "tls-cluster, tls-replication or tls-auth-clients are enabled!");
    speak(context, settings->versions);
    keep_sessions(context, settings);
    // Replies move while they wait, and are sent record by record as the kernel takes them. Buffers of silent
    // connections are given back. Read ahead: header and body of a record in one system call.
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                     | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_SINGLE_DH_USE
                        | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_verify(context, asks == SR_TLS_ASKS_NOT ? SSL_VERIFY_NONE
                       : asks == SR_TLS_ASKS ? SSL_VERIFY_PEER
                       : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return use_ciphers(context, settings, error, room)
        && use_identity(context, settings->certificate, settings->key, settings->key_password, "tls-cert-file",
                        "tls-key-file", error, room)
        && use_authorities(context, settings, error, room)
        && use_parameters(context, settings->dh_parameters, error, room)
        && check_client_identity(settings, error, room);
}

static int configure_client(SSL_CTX *context, const sr_tls_settings *settings, char *error, size_t room) {
    speak(context, settings->versions);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    int has_own = settings->client_certificate != NULL && settings->client_key != NULL;
    int has_any = has_own || (settings->certificate != NULL && settings->key != NULL);
    return use_ciphers(context, settings, error, room) && use_authorities(context, settings, error, room)
        && (!has_any
            || use_identity(context, has_own ? settings->client_certificate : settings->certificate,
                            has_own ? settings->client_key : settings->key,
                            has_own ? settings->client_key_password : settings->key_password,
                            has_own ? "tls-client-cert-file" : "tls-cert-file",
                            has_own ? "tls-client-key-file" : "tls-key-file", error, room));
}

typedef int configuration(SSL_CTX *context, const sr_tls_settings *settings, char *error, size_t room);

static sr_tls_context *create(const SSL_METHOD *method, configuration *configure_it, const sr_tls_settings *settings,
                              char *error, size_t room) {
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(method);
    if (context == NULL) {
        refuse(error, room, "OpenSSL", "SSL_CTX_new");
        return NULL;
    }
    if (!configure_it(context, settings, error, room)) {
        SSL_CTX_free(context);
        return NULL;
    }
    return (sr_tls_context *)context;
}

sr_tls_context *sr_tls_context_create(const sr_tls_settings *settings, char *error, size_t room) {
    return create(TLS_server_method(), configure, settings, error, room);
}

sr_tls_context *sr_tls_client_context_create(const sr_tls_settings *settings, char *error, size_t room) {
    return create(TLS_client_method(), configure_client, settings, error, room);
}

void sr_tls_context_free(sr_tls_context *context) { SSL_CTX_free((SSL_CTX *)context); }

int64_t sr_tls_context_lifetime(const sr_tls_context *context) {
    X509 *certificate = SSL_CTX_get0_certificate((const SSL_CTX *)context);
    int days = 0, seconds = 0;
    if (certificate == NULL || !ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate))) return 0;
    return (int64_t)days * 86400 + seconds;
}

void sr_tls_reason(char *text, size_t room) { explain(text, room); }
