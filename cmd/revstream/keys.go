package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"revstream/ingest/control"
)

func keysCommand() *cobra.Command {
	return commandGroup("keys", "Create, list and revoke API keys", keysCreateCommand(), keysListCommand(), keysRevokeCommand())
}

const keysCreateHelp = `Create an API key and print it. It cannot be shown again: revstream keeps its hash.

Scopes: revenue:write (send revenue), read (ask for figures), admin (manage the
workspace over /v1/admin: its settings, keys and webhook endpoints). A public key
(--public) has none; it is what a web page may carry. With --installation the key
belongs to no workspace: it may manage all of them, create others, and nothing else.

Styles: native (rsk_…, public rpk_…), trackly (trk_…), pulsora (sec_…, public pub_…),
for clients that look at the form of their key. Every style works with every API.`

// createdKey is a fresh key with its text, shown this once.
type createdKey struct {
	control.Key
	Secret string `json:"secret"`
}

func keysCreateCommand() *cobra.Command {
	var wanted control.NewKey
	var scopes []string
	var style string
	var expiresIn time.Duration
	var asJSON, installation bool
	command := &cobra.Command{
		Use: "create", Short: "Create an API key and print it, this once", Long: keysCreateHelp, Args: usage(cobra.NoArgs),
		PreRunE: func(command *cobra.Command, _ []string) error {
			if command.Flags().Changed("expires-in") && expiresIn <= 0 {
				return exitWith(exitUsage, fmt.Errorf("--expires-in %v: the key would never be valid", expiresIn))
			}
			return requiredWorkspace(wanted.Workspace, installation)
		},
		RunE: withDirectory(func(command *cobra.Command, _ []string, d *control.Directory, _ *site) error {
			wanted.Style = control.Style(style)
			for _, scope := range scopes {
				wanted.Scopes = append(wanted.Scopes, control.Scope(scope))
			}
			if len(scopes) == 0 && installation {
				wanted.Scopes = []control.Scope{control.ScopeAdmin}
			} else if len(scopes) == 0 && !wanted.Public {
				wanted.Scopes = []control.Scope{control.ScopeRevenueWrite, control.ScopeRead}
			}
			if expiresIn > 0 {
				wanted.ExpiresAt = time.Now().Add(expiresIn)
			}
			key, text, err := d.CreateKey(command.Context(), actor(), wanted)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(command.OutOrStdout()).Encode(createdKey{key, text.Reveal()})
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "%s\n", text.Reveal())
			return err
		}),
	}
	flags := command.Flags()
	flags.StringVar(&wanted.Workspace, "workspace", "", "workspace that it is for (required, unless it is for all)")
	flags.BoolVar(&installation, "installation", false, "a key that manages all workspaces")
	flags.StringVar(&wanted.Name, "name", "created on the command line", "what it is for")
	flags.StringSliceVar(&scopes, "scopes", nil, "revenue:write, read, admin (default the first two; for the installation admin)")
	flags.StringVar(&style, "style", "", "native, trackly or pulsora (default native)")
	flags.BoolVar(&wanted.Public, "public", false, "a key that the world may see")
	flags.Float64Var(&wanted.RatePerSecond, "rate-per-second", 0, "requests per second (default the server's)")
	flags.IntVar(&wanted.Burst, "burst", 0, "requests at once (default the server's)")
	flags.DurationVar(&expiresIn, "expires-in", 0, "how long it is good, like 720h (default for ever)")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func keysListCommand() *cobra.Command {
	var workspace string
	var asJSON, installation bool
	command := &cobra.Command{
		Use: "list", Short: "List the API keys of a workspace, without their text", Args: usage(cobra.NoArgs),
		PreRunE: func(*cobra.Command, []string) error { return requiredWorkspace(workspace, installation) },
		RunE: withDirectory(func(command *cobra.Command, _ []string, d *control.Directory, _ *site) error {
			if !installation {
				if err := knownWorkspace(d, workspace); err != nil {
					return err
				}
			}
			keys := d.Keys(workspace)
			list := listing{header: "ID\tNAME\tSTYLE\tSCOPES\tCREATED\tEXPIRES\tREVOKED", values: keys}
			for _, key := range keys {
				list.rows = append(list.rows, []any{key.ID, key.Name, key.Style, scopesOf(key), key.CreatedAt, key.ExpiresAt, key.RevokedAt})
			}
			return list.print(command.OutOrStdout(), asJSON)
		}),
	}
	command.Flags().StringVar(&workspace, "workspace", "", "workspace (required, unless those of no workspace are meant)")
	command.Flags().BoolVar(&installation, "installation", false, "the keys that manage all workspaces")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

// requiredWorkspace wants a workspace or the whole installation, not both.
func requiredWorkspace(workspace string, installation bool) error {
	if (workspace == "") != installation {
		return exitWith(exitUsage, errors.New("--workspace or --installation is required, and not both"))
	}
	return nil
}

func scopesOf(key control.Key) string {
	if key.Public {
		return "public"
	}
	scopes := make([]string, len(key.Scopes))
	for i, scope := range key.Scopes {
		scopes[i] = string(scope)
	}
	return strings.Join(scopes, ",")
}

func keysRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke id", Short: "Make an API key invalid for good", Args: usage(cobra.ExactArgs(1)),
		RunE: withDirectory(func(command *cobra.Command, args []string, d *control.Directory, _ *site) error {
			key, err := d.RevokeKey(command.Context(), actor(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "revoked %s (%s)\n", key.ID, key.Name)
			return err
		}),
	}
}
