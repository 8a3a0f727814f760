package stream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"
)

// certify makes a certificate for the address that trusts itself, and the files
// of it and its key.
func certify(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", certificate), write("key.pem", "PRIVATE KEY", private)
}

func TestTLS(t *testing.T) {
	certFile, keyFile := certify(t)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(pair.Leaf)
	_, cfg := bareFakeKafka(t, kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: trusted, ClientAuth: tls.RequireAndVerifyClientCert,
	}))
	cfg.TLS = TLS{Enabled: true, CAFile: certFile, CertFile: certFile, KeyFile: keyFile}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := EnsureTopics(within(t), cfg); err != nil {
		t.Fatal(err)
	}
	if err := producer(t, cfg).Publish(within(t), payment()); err != nil {
		t.Error(err)
	}
	cfg.ReadTimeout = 500 * time.Millisecond
	for name, settings := range map[string]TLS{
		"not encrypted": {}, "not trusted": {Enabled: true, CertFile: certFile, KeyFile: keyFile},
		"not known": {Enabled: true, CAFile: certFile},
	} {
		cfg.TLS = settings
		if err := EnsureTopics(within(t), cfg); !errors.Is(err, ErrBusy) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, settings := range map[string]TLS{
		"no file":        {Enabled: true, CAFile: filepath.Join(t.TempDir(), "none")},
		"no certificate": {Enabled: true, CAFile: keyFile},
		"no pair":        {Enabled: true, CertFile: certFile, KeyFile: certFile},
	} {
		cfg.TLS = settings
		if _, err := NewProducer(cfg, nil, zap.NewNop()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
