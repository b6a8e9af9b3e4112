package jetstream

// Rights lists what a connection has to be allowed to publish on for Open, OpenPacks and all that they return, on the ledger's two
// streams and no others: to order, to read, to keep and to delete packs. It may create the streams, and neither change nor purge nor
// delete them: raising their replicas is for whoever runs the servers. Answers come to the connection's inbox.
func Rights(ledger string) []string {
	order, packs := "ORDER-"+ledger, "PACKS-"+ledger
	return []string{
		"order." + ledger, "packs." + ledger + ".*",
		"$JS.API.STREAM.CREATE." + order, "$JS.API.STREAM.CREATE." + packs,
		"$JS.API.STREAM.INFO." + order, "$JS.API.STREAM.INFO." + packs,
		"$JS.API.STREAM.MSG.GET." + order, "$JS.API.STREAM.MSG.GET." + packs,
		"$JS.API.STREAM.MSG.DELETE." + packs,
		"$JS.API.CONSUMER.CREATE." + order + ".>", "$JS.API.CONSUMER.DELETE." + order + ".*",
		"$JS.API.CONSUMER.MSG.NEXT." + order + ".*", "$JS.API.CONSUMER.INFO." + order + ".*",
	}
}
