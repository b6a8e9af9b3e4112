package main

import (
	"github.com/spf13/cobra"

	"wattmark/cmd/internal/command"
	"wattmark/gateway"
)

func newVersion() *cobra.Command {
	return command.NewVersion("wattmark-gateway", gateway.Version, failed)
}
