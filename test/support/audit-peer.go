// Answers questions about a log with Go's own packages: golang.org/x/mod/sumdb/tlog and sumdb/note.
package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Entries      []string   `json:"entries"`
	Inclusions   [][2]int64 `json:"inclusions"`
	Consistences [][2]int64 `json:"consistences"`
	Growths      [][2]int64 `json:"growths"`
	Note         string     `json:"note"`
	Keys         []string   `json:"keys"`
	SignText     string     `json:"signText"`
	WitnessKey   []byte     `json:"witnessKey"`
	Cosignature  []byte     `json:"cosignature"`
}

type answer struct {
	Roots        []string   `json:"roots"`
	Inclusions   [][]string `json:"inclusions"`
	Consistences [][]string `json:"consistences"`
	Growths      [][]string `json:"growths"`
	NoteText     string     `json:"noteText"`
	Signers      []string   `json:"signers"`
	Foreign      []string   `json:"foreign"`
	SignedNote   string     `json:"signedNote"`
	SignedBy     string     `json:"signedBy"`
	Cosigned     bool       `json:"cosigned"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func texts(hashes []tlog.Hash) []string {
	all := []string{}
	for _, hash := range hashes {
		all = append(all, hash.String())
	}
	return all
}

func main() {
	var q question
	var a answer
	check(json.NewDecoder(os.Stdin).Decode(&q))

	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var hashes []tlog.Hash
		for _, index := range indexes {
			hashes = append(hashes, stored[index])
		}
		return hashes, nil
	})
	for index, entry := range q.Entries {
		hashes, err := tlog.StoredHashes(int64(index), []byte(entry), reader)
		check(err)
		stored = append(stored, hashes...)
		root, err := tlog.TreeHash(int64(index)+1, reader)
		check(err)
		a.Roots = append(a.Roots, root.String())
	}
	for _, pair := range q.Inclusions {
		proof, err := tlog.ProveRecord(pair[1], pair[0], reader)
		check(err)
		a.Inclusions = append(a.Inclusions, texts(proof))
	}
	for _, pair := range q.Consistences {
		proof, err := tlog.ProveTree(pair[1], pair[0], reader)
		check(err)
		a.Consistences = append(a.Consistences, texts(proof))
	}
	for _, pair := range q.Growths {
		paths := []string{}
		for _, tile := range tlog.NewTiles(8, pair[0], pair[1]) {
			// Go writes the height of its tiles into the path; C2SP fixes it at 8.
			paths = append(paths, strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		}
		a.Growths = append(a.Growths, paths)
	}

	var verifiers []note.Verifier
	for _, key := range q.Keys {
		verifier, err := note.NewVerifier(key)
		check(err)
		verifiers = append(verifiers, verifier)
	}
	opened, err := note.Open([]byte(q.Note), note.VerifierList(verifiers...))
	check(err)
	a.NoteText = opened.Text
	for _, sig := range opened.Sigs {
		a.Signers = append(a.Signers, sig.Name)
	}
	for _, sig := range opened.UnverifiedSigs {
		a.Foreign = append(a.Foreign, sig.Name)
	}

	secret, public, err := note.GenerateKey(nil, "go.example/log")
	check(err)
	signer, err := note.NewSigner(secret)
	check(err)
	signed, err := note.Sign(&note.Note{Text: q.SignText}, signer)
	check(err)
	a.SignedNote, a.SignedBy = string(signed), public

	var message bytes.Buffer
	fmt.Fprintf(&message, "cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(q.Cosignature[:8]), opened.Text)
	a.Cosigned = ed25519.Verify(ed25519.PublicKey(q.WitnessKey), message.Bytes(), q.Cosignature[8:])
	check(json.NewEncoder(os.Stdout).Encode(a))
}
