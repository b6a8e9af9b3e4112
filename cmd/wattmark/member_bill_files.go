package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/ledger"
	"wattmark/oracle/export"
)

// statementFormats are what a statement is written in, by how the file's name ends.
var statementFormats = map[string]func(*export.Statement) ([]byte, error){
	".pdf": (*export.Statement).PDF, ".html": (*export.Statement).Page, ".xlsx": (*export.Statement).XLSX, ".xml": (*export.Statement).GreenButton,
	".csv": func(s *export.Statement) ([]byte, error) { return s.CSV(), nil },
}

func formatOf(name string) (func(*export.Statement) ([]byte, error), error) {
	if f := statementFormats[strings.ToLower(filepath.Ext(name))]; f != nil {
		return f, nil
	}
	return nil, &exitError{exitUsage, fmt.Errorf("--out %s ends in none of .pdf, .html, .xlsx, .csv and .xml", name)}
}

func writeStatement(s *export.Statement, name string) error {
	write, err := formatOf(name)
	if err != nil {
		return err
	}
	b, err := write(s)
	if err != nil {
		return err
	}
	return writeFile(name, b)
}

// proveAll writes the evidence of each interval of a statement, and notes its digest
// there. It executes the ledger once.
func (m *member) proveAll(cmd *cobra.Command, s *export.Statement, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	r, note, signed, err := openFinal(m.dir, m.policy)
	if err != nil {
		return err
	}
	defer r.Close()
	packs, closeVault, err := packsOf(m.dir)
	if err != nil {
		return err
	}
	defer closeVault()
	st, err := executed(cmd.Context(), r, signed, packs)
	if err != nil {
		return err
	}
	progress := newBar(cmd.ErrOrStderr(), "proving", uint64(len(s.Spots)))
	defer progress.end()
	for i := range s.Spots {
		if err := cmd.Context().Err(); err != nil {
			return err
		}
		spot := &s.Spots[i]
		e, err := ledger.BillEvidence(r, note, signed.Checkpoint, st, s.Member, spot.Interval, packs)
		if errors.Is(err, ledger.ErrNotFinal) {
			continue
		}
		if err != nil {
			return fmt.Errorf("interval %s: %w", spot.Interval, err)
		}
		b := e.Encode()
		sum := sha256.Sum256(b)
		spot.Evidence = sum[:]
		name := strings.ReplaceAll(spot.Interval.String(), ":", "") + evidenceSuffix
		if err := writeFile(filepath.Join(dir, name), b); err != nil {
			return err
		}
		progress.at(uint64(i + 1))
	}
	return nil
}
